// What the Node bots share: a webhook route, a WebSocket server by hand (no packages), and commands to Telnyx.
const http = require('http');
const crypto = require('crypto');

const API = process.env.TELNYX_API_BASE;
const KEY = process.env.TELNYX_API_KEY;

async function command(id, name, body) {
  const answer = await fetch(`${API}/calls/${encodeURIComponent(id)}/actions/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body: JSON.stringify(body),
  });
  return { status: answer.status, ok: answer.ok, body: await answer.json() };
}

function accept(request, socket, onText) {
  const mark = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const hash = crypto.createHash('sha1').update(mark).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${hash}\r\n\r\n`);
  let held = Buffer.alloc(0);
  socket.on('data', (piece) => {
    held = Buffer.concat([held, piece]);
    for (;;) {
      if (held.length < 6) return;
      let size = held[1] & 127, at = 2;
      if (size === 126) { size = held.readUInt16BE(2); at = 4; }
      if (held.length < at + 4 + size) return;
      const mask = held.subarray(at, at + 4);
      const body = Buffer.from(held.subarray(at + 4, at + 4 + size)).map((byte, i) => byte ^ mask[i % 4]);
      const kind = held[0] & 15;
      held = held.subarray(at + 4 + size);
      if (kind === 1) onText(body.toString());
      if (kind === 8) { socket.end(Buffer.from([0x88, 2, 3, 232])); }
    }
  });
  return (text) => {
    const body = Buffer.from(text);
    const head = body.length < 126 ? Buffer.from([0x81, body.length]) : Buffer.from([0x81, 126, body.length >> 8, body.length & 255]);
    if (!socket.destroyed) socket.write(Buffer.concat([head, body]));
  };
}

function serve(onWebhook, onUpgrade, onListening) {
  const server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => (text += piece));
    request.on('end', () => {
      if (request.method !== 'POST') { response.writeHead(404); return response.end('not found'); }
      response.end('{}');
      onWebhook(JSON.parse(text), request);
    });
  });
  if (onUpgrade) server.on('upgrade', onUpgrade);
  server.listen(Number(process.env.PORT), '127.0.0.1', onListening);
}

module.exports = { accept, command, serve };
