// Node with ws; PCMU by table. PORT.
const toPcm = new Int16Array(256)
for (let i = 0; i < 256; i++) { const u = ~i & 255; let t = ((u & 15) << 3) + 132; t <<= (u & 112) >> 4; toPcm[i] = u & 128 ? 132 - t : t - 132 }
const toUlaw = new Uint8Array(65536)
for (let s = -32768; s < 32768; s++) {
  let v = s, sign = 0; if (v < 0) { v = -v; sign = 0x80 } v = Math.min(v, 32635) + 132
  let e = 7; for (let m = 0x4000; e > 0 && !(v & m); m >>= 1) e--
  toUlaw[s & 65535] = ~(sign | e << 4 | v >> (e + 3) & 15) & 255
}
function reply (text) {
  const message = JSON.parse(text)
  if (message.event !== 'media') return null
  const ulaw = Buffer.from(message.media.payload, 'base64')
  const pcm = new Int16Array(ulaw.length)
  for (let i = 0; i < ulaw.length; i++) pcm[i] = toPcm[ulaw[i]]
  const out = Buffer.allocUnsafe(pcm.length)
  for (let i = 0; i < out.length; i++) out[i] = toUlaw[pcm[i] & 65535]
  return JSON.stringify({ event: 'media', media: { payload: out.toString('base64') } })
}
const { WebSocketServer } = require('ws')
const server = require('http').createServer()
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', socket => {
  socket.on('message', data => { const text = reply(data.toString()); if (text !== null) socket.send(text) })
})
server.listen(+process.env.PORT, '127.0.0.1')
