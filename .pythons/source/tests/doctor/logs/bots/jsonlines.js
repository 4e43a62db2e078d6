// One JSON object a line as pino writes it: numbers for levels, epoch ms, ids as fields.
const { accept, command, serve } = require('./wire');
const fault = process.env.FAULT || '';
const host = process.env.PUBLIC_HOST;
const say = (level, msg, more = {}) => console.log(JSON.stringify({ level, time: Date.now(), pid: process.pid, hostname: 'bot', ...more, msg }));

serve(async (event) => {
  const { event_type, payload } = event.data;
  const ids = { callControlId: payload.call_control_id, callSessionId: payload.call_session_id };
  say(30, 'webhook received', { eventType: event_type, ...ids });
  if (event_type === 'call.initiated') {
    const answer = await command(ids.callControlId, 'answer', {});
    say(30, 'answer command accepted', { status: answer.status, ...ids });
  }
  if (event_type === 'call.answered') {
    const streamUrl = `ws://${host}/stream/${payload.call_session_id}`;
    say(30, 'streaming_start request', { streamUrl, ...ids });
    const answer = await command(ids.callControlId, 'streaming_start', {
      stream_url: streamUrl, stream_track: fault === 'badtrack' ? 'both' : 'inbound_track',
      stream_bidirectional_mode: 'rtp', stream_bidirectional_codec: 'PCMU', stream_bidirectional_target_legs: 'self',
    });
    if (answer.ok) say(30, 'streaming_start accepted', { status: answer.status, ...ids });
    else say(50, 'streaming_start failed', { status: answer.status, errors: answer.body.errors, ...ids });
  }
}, (request, socket) => {
  const callSessionId = request.url.split('/').pop();
  say(30, 'media websocket connected', { path: request.url, callSessionId });
  let first = true;
  const send = accept(request, socket, (text) => {
    const frame = JSON.parse(text);
    if (frame.event === 'start') say(30, 'stream start event', { streamId: frame.stream_id, callSessionId, mediaFormat: frame.start.media_format });
    if (frame.event === 'media') {
      if (first) { first = false; say(30, 'first inbound media frame', { callSessionId }); say(30, 'first outbound media frame sent', { callSessionId }); }
      send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
    }
    if (frame.event === 'stop') say(30, 'stream stop event', { callSessionId });
  });
  socket.on('close', () => say(30, 'media websocket closed', { callSessionId }));
  socket.on('error', () => {});
}, () => say(30, 'server listening', { port: Number(process.env.PORT), address: '127.0.0.1' }));
