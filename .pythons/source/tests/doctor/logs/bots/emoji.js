// Free words with emoji, a time only on the request lines, ids in most lines. The bot's own socket to an AI is told, too.
const { accept, command, serve } = require('./wire');
const fault = process.env.FAULT || '';
const host = process.env.PUBLIC_HOST;

async function begin(id) {
  const url = `ws://${host}/media-stream-ws?call_id=${encodeURIComponent(id)}`;
  console.log('🚀 Starting Telnyx media streaming (bidirectional)');
  console.log(`🚀 Using media stream URL: ${url}`);
  const answer = await command(id, 'streaming_start', {
    stream_url: url, stream_track: fault === 'badtrack' ? 'both' : 'inbound_track',
    stream_bidirectional_mode: 'rtp', stream_bidirectional_codec: 'PCMU', stream_bidirectional_target_legs: 'self',
  });
  if (answer.ok) console.log(`✅ Media streaming started for ${id}`);
  else console.error('❌ Failed to start media streaming:', answer.status, JSON.stringify(answer.body));
}

serve(async (event, request) => {
  const { event_type, payload } = event.data;
  const id = payload.call_control_id;
  console.log(`[${new Date().toISOString()}] POST ${request.url}`);
  console.log(`📞 Telnyx event: ${event_type} for call ${id}`);
  if (event_type === 'call.initiated') {
    await command(id, 'answer', {});
    console.log(`✅ Call answered: ${id}`);
    if (fault === 'early') await begin(id);
    console.log(`🤖 Starting OpenAI Realtime session for ${id}...`);
    console.log(`✅ OpenAI Realtime WebSocket connected for ${id}`);
  }
  if (event_type === 'call.answered' && fault !== 'early' && fault !== 'never') await begin(id);
  if (event_type === 'call.hangup') console.log(`📴 Call ended: ${payload.hangup_cause}`);
}, (request, socket) => {
  console.log('🔌 Media WebSocket connected');
  let count = 0;
  const send = accept(request, socket, (text) => {
    const frame = JSON.parse(text);
    if (frame.event === 'start') console.log(`▶️ Stream started: ${frame.stream_id} (${frame.start.media_format.encoding})`);
    if (frame.event === 'media' && ++count === 1) console.log('🎤 First media packet received');
    if (frame.event === 'media') send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
    if (frame.event === 'media' && count === 2) console.log('🔊 Sending audio to caller');
    if (frame.event === 'stop') console.log('⏹️ Stream stopped');
  });
  socket.on('close', () => console.log('🔌 Media WebSocket closed'));
  socket.on('error', () => {});
}, () => console.log('✅ Ready to receive calls!'));
