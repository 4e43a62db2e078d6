// Voice applications on Node: `ws`, Express, Fastify, Socket.IO; right ones, and the ways in which they go wrong.
//   HOST=… PORT=… LAB_MODULES=…/node_modules node node_app.js NAME
'use strict';

const http = require('node:http');
const { createRequire } = require('node:module');
const path = require('node:path');

const need = createRequire(path.join(process.env.LAB_MODULES, 'package.json'));
const host = process.env.HOST;
const port = Number(process.env.PORT);
const listen = { host, port };

function echo(ws) {
  ws.on('message', (text) => {
    const frame = JSON.parse(text);
    if (frame.event === 'media') {
      ws.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
    }
  });
}

const health = (req, res) => {
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end('{"status":"ok"}');
};

const apps = {
  // --- right ---
  ws() {
    const { WebSocketServer } = need('ws');
    new WebSocketServer({ ...listen, path: '/api/calls/test-connection/audio' }).on('connection', echo);
  },
  'ws-compressed'() {
    const { WebSocketServer } = need('ws');
    new WebSocketServer({ ...listen, perMessageDeflate: true }).on('connection', echo);
  },
  'express-noserver'() {
    const express = need('express');
    const { WebSocketServer } = need('ws');
    const app = express();
    app.get('/health', (req, res) => res.json({ status: 'ok' }));
    const server = http.createServer(app);
    const wss = new WebSocketServer({ noServer: true });
    wss.on('connection', echo);
    server.on('upgrade', (req, socket, head) => {
      if (!/^\/api\/calls\/[^/]+\/audio$/.test(req.url.split('?')[0])) {
        socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
        return;
      }
      wss.handleUpgrade(req, socket, head, (ws) => wss.emit('connection', ws, req));
    });
    server.listen(listen);
  },
  'express-ws'() {
    const app = need('express')();
    need('express-ws')(app);
    app.ws('/api/calls/:session/audio', echo);
    app.listen(port, host);
  },
  async fastify() {
    const app = need('fastify')();
    await app.register(need('@fastify/websocket'));
    app.register(async (scope) => {
      scope.get('/api/calls/:session/audio', { websocket: true }, (socket) => echo(socket));
    });
    await app.listen(listen);
  },
  'socketio-beside-ws'() {
    // Socket.IO for the dashboard and ws for the carrier, on one server, each minding its own path.
    const { Server } = need('socket.io');
    const { WebSocketServer } = need('ws');
    const server = http.createServer(health);
    new Server(server, { destroyUpgrade: false });
    const wss = new WebSocketServer({ noServer: true });
    wss.on('connection', echo);
    server.on('upgrade', (req, socket, head) => {
      if (req.url.startsWith('/api/')) wss.handleUpgrade(req, socket, head, (ws) => wss.emit('connection', ws, req));
    });
    server.listen(listen);
  },

  // --- wrong ---
  'ws-path-pattern'() {
    const { WebSocketServer } = need('ws');
    const server = http.createServer(health);
    new WebSocketServer({ server, path: '/api/calls/:session/audio' }).on('connection', echo);
    server.listen(listen);
  },
  'ws-other-path'() {
    const { WebSocketServer } = need('ws');
    const server = http.createServer(health);
    new WebSocketServer({ server, path: '/media-stream' }).on('connection', echo);
    server.listen(listen);
  },
  'express-other-server'() {
    const express = need('express');
    const { WebSocketServer } = need('ws');
    const app = express();
    app.get('/health', (req, res) => res.json({ status: 'ok' }));
    const server = http.createServer(app);
    new WebSocketServer({ server }).on('connection', echo);
    app.listen(port, host);
  },
  'express-no-socket'() {
    const app = need('express')();
    app.get('/health', (req, res) => res.json({ status: 'ok' }));
    app.listen(port, host);
  },
  'express-ws-other-path'() {
    const app = need('express')();
    need('express-ws')(app);
    app.get('/health', (req, res) => res.json({ status: 'ok' }));
    app.ws('/media-stream', echo);
    app.listen(port, host);
  },
  'express-ws-late'() {
    // express-ws set up after the router that holds the route: `.ws` is missing there, and an HTTP route stands in.
    const express = need('express');
    const app = express();
    app.get('/api/calls/:session/audio', (req, res) => res.status(426).json({ error: 'WebSocket required' }));
    app.listen(port, host);
  },
  'noserver-destroys'() {
    const { WebSocketServer } = need('ws');
    const server = http.createServer(health);
    const wss = new WebSocketServer({ noServer: true });
    wss.on('connection', echo);
    server.on('upgrade', (req, socket, head) => {
      if (req.url === '/media-stream') wss.handleUpgrade(req, socket, head, (ws) => wss.emit('connection', ws, req));
      else socket.destroy();
    });
    server.listen(listen);
  },
  'noserver-forgets'() {
    // An upgrade listener that does nothing for this path: the socket stays open and is never answered.
    const { WebSocketServer } = need('ws');
    const server = http.createServer(health);
    const wss = new WebSocketServer({ noServer: true });
    wss.on('connection', echo);
    server.on('upgrade', (req, socket, head) => {
      if (req.url === '/media-stream') wss.handleUpgrade(req, socket, head, (ws) => wss.emit('connection', ws, req));
    });
    server.listen(listen);
  },
  'two-servers-one-http'() {
    // Two `ws` servers on one http server with different paths: each aborts what is not its own.
    const { WebSocketServer } = need('ws');
    const server = http.createServer(health);
    new WebSocketServer({ server, path: '/events' });
    new WebSocketServer({ server, path: '/api/calls/test-connection/audio' }).on('connection', echo);
    server.listen(listen);
  },
  'verify-client'() {
    const { WebSocketServer } = need('ws');
    const verifyClient = ({ req }, done) =>
      req.headers.authorization ? done(true) : done(false, 401, 'Unauthorized');
    new WebSocketServer({ ...listen, verifyClient }).on('connection', echo);
  },
  'verify-origin'() {
    const { WebSocketServer } = need('ws');
    const verifyClient = ({ origin }) => origin === 'https://voice.example.com';
    new WebSocketServer({ ...listen, verifyClient }).on('connection', echo);
  },
  'max-payload'() {
    const { WebSocketServer } = need('ws');
    new WebSocketServer({ ...listen, maxPayload: 128 }).on('connection', echo);
  },
  'crash-on-connect'() {
    const { WebSocketServer } = need('ws');
    process.on('uncaughtException', (error) => console.error(error));
    new WebSocketServer(listen).on('connection', (ws) => {
      ws.terminate();
      throw new Error('OPENAI_API_KEY is not set');
    });
  },
  'process-dies'() {
    // The exception ends the process; the platform starts it again.
    const { WebSocketServer } = need('ws');
    new WebSocketServer(listen).on('connection', () => {
      throw new Error('OPENAI_API_KEY is not set');
    });
  },
  'error-500'() {
    const { WebSocketServer } = need('ws');
    const verifyClient = (client, done) => done(false, 500, 'Internal Server Error');
    new WebSocketServer({ ...listen, verifyClient }).on('connection', echo);
  },
  'session-unknown'() {
    const { WebSocketServer } = need('ws');
    new WebSocketServer(listen).on('connection', (ws) => ws.close(1008, 'Session not found'));
  },
  'idle-kill'() {
    // The usual heartbeat from the docs, with the pong handler forgotten: every client is terminated at the second round.
    const { WebSocketServer } = need('ws');
    const wss = new WebSocketServer(listen);
    wss.on('connection', (ws) => {
      ws.isAlive = true;
      echo(ws);
    });
    setInterval(() => {
      for (const ws of wss.clients) {
        if (!ws.isAlive) ws.terminate();
        ws.isAlive = false;
        ws.ping();
      }
    }, 1500);
  },
  async 'fastify-order'() {
    const app = need('fastify')();
    app.get('/api/calls/:session/audio', { websocket: true }, (socket) => ({ connected: Boolean(socket) }));
    await app.register(need('@fastify/websocket'));
    await app.listen(listen);
  },
  async 'fastify-signature'() {
    const app = need('fastify')();
    await app.register(need('@fastify/websocket'));
    app.register(async (scope) => {
      scope.get('/api/calls/:session/audio', { websocket: true }, (connection) => {
        connection.socket.on('message', (text) => connection.socket.send(text));
      });
    });
    await app.listen(listen);
  },
  async 'fastify-other-path'() {
    const app = need('fastify')();
    await app.register(need('@fastify/websocket'));
    app.register(async (scope) => {
      scope.get('/media-stream', { websocket: true }, (socket) => echo(socket));
    });
    await app.listen(listen);
  },
  async 'fastify-guard'() {
    const app = need('fastify')();
    await app.register(need('@fastify/websocket'));
    app.addHook('preValidation', async (request, reply) => {
      if (!request.headers.authorization) await reply.code(401).send({ error: 'Unauthorized' });
    });
    app.register(async (scope) => {
      scope.get('/api/calls/:session/audio', { websocket: true }, (socket) => echo(socket));
    });
    await app.listen(listen);
  },
  'socketio-only'() {
    const { Server } = need('socket.io');
    const server = http.createServer(health);
    new Server(server).on('connection', (socket) => socket.on('media', (media) => socket.emit('media', media)));
    server.listen(listen);
  },
  'socketio-at-path'() {
    // Socket.IO's own path set to the carrier's: it answers, but speaks its own protocol.
    const { Server } = need('socket.io');
    const server = http.createServer(health);
    new Server(server, { path: '/api/calls/test-connection/audio', addTrailingSlash: false });
    server.listen(listen);
  },
  'http2-only'() {
    const http2 = require('node:http2');
    const fs = require('node:fs');
    const [cert, key] = process.argv.slice(3).map((name) => fs.readFileSync(name));
    const server = http2.createSecureServer({ cert, key, allowHTTP1: false });
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('{"status":"ok"}');
    });
    server.listen(listen);
  },
};

Promise.resolve(apps[process.argv[2]]()).catch((error) => {
  console.error(error);
  process.exit(1);
});
