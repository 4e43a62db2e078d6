// [Tags], whole payloads printed over many lines, objects as console.log shows them, no times, errors with their bodies.
const { accept, command, serve } = require('./wire');
const fault = process.env.FAULT || '';
const host = process.env.PUBLIC_HOST;

serve(async (event) => {
  const { event_type, payload } = event.data;
  const callControlId = payload.call_control_id;
  console.log('[Telnyx] Event received:', JSON.stringify(event, null, 2));
  try {
    if (event_type === 'call.initiated') {
      console.log('[Telnyx] Answering call', { callControlId, from: payload.from });
      await command(callControlId, 'answer', {});
    }
    if (event_type === 'call.answered') {
      const params = { stream_url: `ws://${host}/media`, stream_track: fault === 'badtrack' ? 'both' : 'both_tracks' };
      if (fault !== 'mp3') Object.assign(params, { stream_bidirectional_mode: 'rtp', stream_bidirectional_target_legs: 'self' });
      console.log('[Telnyx] startStreaming', params);
      const answer = await command(callControlId, 'streaming_start', params);
      if (!answer.ok) throw Object.assign(new Error(`Request failed with status code ${answer.status}`), { data: answer.body });
      console.log('[Telnyx] streaming_start response:', answer.body);
    }
    if (event_type === 'call.hangup') console.log('[Telnyx] Call hung up');
  } catch (error) {
    console.error('[Telnyx] Error starting stream:', error);
    console.error(JSON.stringify(error.data, null, 2));
  }
}, (request, socket) => {
  console.log('[WS] New connection from Telnyx on', request.url);
  console.log('[AI] Connecting to OpenAI websocket...');
  let first = true;
  const send = accept(request, socket, (text) => {
    const frame = JSON.parse(text);
    if (frame.event !== 'media') console.log('[WS] event:', frame.event, frame);
    else {
      if (first) { first = false; console.log('[WS] Received first media chunk'); console.log('[WS] -> sent first audio chunk to Telnyx'); }
      if (frame.media.track === 'inbound') send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
    }
  });
  socket.on('close', () => console.log('[WS] Telnyx disconnected'));
  socket.on('error', () => {});
}, () => console.log('[Server] Listening on port', process.env.PORT, '- WebSocket endpoint: ws://' + host + '/media'));
