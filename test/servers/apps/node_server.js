// The application in Node.js: one handler on four servers, each on its own port.
// Run as: node node_server.js settings.json

'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const path = require('node:path');
const { Readable } = require('node:stream');
const zlib = require('node:zlib');

const settings = JSON.parse(fs.readFileSync(process.argv[2]));
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

const files = new Map();
for (const name of fs.readdirSync(settings.docroot)) {
  const body = fs.readFileSync(path.join(settings.docroot, name));
  files.set('/' + name, { body, etag: `"${sha256(body).slice(0, 16)}"` });
}
const compressedText = zlib.gzipSync(files.get('/text').body);
const counts = new Map();

// Of a stream that is reset, Node forgets to take off a session's memory what was queued:
// so a body is queued in pieces, and the memory has room for those of many streams.
const PIECE = 64 * 1024;
const MAX_SESSION_MEGABYTES = 1000;

function* pieces(body) {
  for (let at = 0; at < body.length; at += PIECE) yield body.subarray(at, at + PIECE);
}

function answer(response, body, { status = 200, type = 'text/plain', headers = {} } = {}) {
  const described =
    status === 304 ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...described, ...headers });
  if (response.req.method === 'HEAD') response.end();
  else if (body.length > PIECE) Readable.from(pieces(body)).pipe(response);
  else response.end(body);
}

function sendFile(request, response, file, name) {
  const headers = { etag: file.etag };
  if (request.headers['if-none-match'] === file.etag) {
    answer(response, '', { status: 304, headers });
    return;
  }
  let body = file.body;
  if (name === '/text') {
    headers.vary = 'accept-encoding';
    if ((request.headers['accept-encoding'] || '').includes('gzip')) {
      headers['content-encoding'] = 'gzip';
      body = compressedText;
    }
  }
  answer(response, body, { headers });
}

const special = {
  '/count': (request, response) =>
    answer(response, JSON.stringify(Object.fromEntries(counts)), { type: 'application/json' }),

  '/slow': (request, response) => setTimeout(() => answer(response, 'slow\n'), 500),

  '/never': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.write('.');
    const timer = setInterval(() => response.write('.'), 200);
    response.on('close', () => clearInterval(timer));
  },

  '/trailers': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-trailer' });
    response.write('trailers follow\n');
    response.addTrailers({ 'x-trailer': 'yes' });
    response.end();
  },

  '/early-hints': (request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    answer(response, 'hinted\n');
  },

  '/pushing': (request, response) => {
    const stream = response.stream;
    if (stream && stream.pushAllowed) {
      stream.pushStream({ ':path': '/hello' }, (error, pushed) => {
        if (error) return;
        pushed.on('error', () => {});
        pushed.respond({ ':status': 200, 'content-type': 'text/plain' });
        pushed.end(files.get('/hello').body);
      });
    }
    answer(response, 'pushing\n');
  },
};

function get(request, response, name) {
  if (files.has(name)) sendFile(request, response, files.get(name), name);
  else if (name.startsWith('/echo/')) answer(response, name.slice('/echo/'.length));
  else if (name in special) special[name](request, response);
  else answer(response, 'not found\n', { status: 404 });
}

function post(request, response, name) {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  // A torn request emits "aborted" and "end" too on HTTP/2: it must not be counted.
  let torn = false;
  request.on('aborted', () => (torn = true));
  request.on('end', () => {
    if (torn) return;
    const body = Buffer.concat(pieces);
    if (name === '/upload') {
      const told = { length: body.length, sha256: sha256(body) };
      answer(response, JSON.stringify(told), { type: 'application/json' });
    } else if (name === '/echo') {
      answer(response, body, { type: 'application/octet-stream' });
    } else if (name.startsWith('/count/')) {
      const id = name.slice('/count/'.length);
      counts.set(id, (counts.get(id) || 0) + 1);
      answer(response, `${counts.get(id)}\n`);
    } else {
      answer(response, 'not found\n', { status: 404 });
    }
  });
}

function handle(request, response) {
  // A client that goes away in the middle is everyday business.
  request.on('error', () => {});
  response.on('error', () => {});
  const name = request.url.split('?')[0];
  if (request.method === 'POST' || request.method === 'PUT') post(request, response, name);
  else get(request, response, name);
}

// RFC 8441: a WebSocket that echoes messages. The handshake is that of HTTP/2, so only
// the frames of RFC 6455 are left to do, and frames alone can be echoed one by one.
function connect(request, response) {
  const stream = request.stream;
  stream.on('error', () => {});
  if (request.headers[':protocol'] !== 'websocket' || request.url !== '/websocket') {
    answer(response, 'not found\n', { status: 404 });
    return;
  }
  stream.respond({ ':status': 200 });
  const send = (first, payload) => {
    const head = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65536 ? 4 : 10);
    head[0] = first;
    head[1] = head.length === 2 ? payload.length : head.length === 4 ? 126 : 127;
    if (head.length === 4) head.writeUInt16BE(payload.length, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(payload.length), 2);
    stream.write(Buffer.concat([head, payload]));
  };
  let closing = false;
  const take = ({ first, payload }) => {
    const text = first === 0x81 ? payload.toString() : '';
    if (text === 'ping') {
      send(0x89, Buffer.from('are you there?')); // its answer is echoed as a text
    } else if (text === 'close') {
      closing = true;
      send(0x88, Buffer.concat([Buffer.from([4000 >> 8, 4000 & 255]), Buffer.from('as you wish')]));
    } else if ((first & 15) === 8) {
      if (!closing) send(0x88, payload.subarray(0, 2));
      stream.end();
    } else {
      send((first & 15) === 10 ? 0x81 : first, payload);
    }
  };
  let received = Buffer.alloc(0);
  stream.on('data', (piece) => {
    received = Buffer.concat([received, piece]);
    for (let frame = firstFrame(received); frame !== null; frame = firstFrame(received)) {
      received = received.subarray(frame.end);
      take(frame);
    }
  });
}

// The frame that begins the data, unmasked; null if it is not there as a whole.
function firstFrame(data) {
  if (data.length < 2) return null;
  const short = data[1] & 127;
  const mask = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (data.length < mask + 4) return null;
  const length =
    short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
  const end = mask + 4 + length;
  if (data.length < end) return null;
  const payload = Buffer.from(data.subarray(mask + 4, end));
  for (let i = 0; i < length; i++) payload[i] ^= data[mask + (i & 3)];
  return { first: data[0], payload, end };
}

const tls = { cert: fs.readFileSync(settings.cert), key: fs.readFileSync(settings.key) };
const h2 = {
  settings: { enableConnectProtocol: true },
  maxSessionMemory: MAX_SESSION_MEGABYTES,
};
if (settings.maxConcurrentStreams !== null) {
  h2.settings.maxConcurrentStreams = settings.maxConcurrentStreams;
}

const servers = [
  [http2.createSecureServer({ ...tls, ...h2, allowHTTP1: true }, handle), settings.tls],
  [http2.createServer(h2, handle), settings.h2c],
  [http.createServer(handle), settings.h1],
  [https.createServer(tls, handle), settings.h1_tls],
];
for (const [server, port] of servers) {
  if (port === settings.tls || port === settings.h2c) server.on('connect', connect);
  server.on('sessionError', () => {});
  server.on('clientError', (error, socket) => socket.destroy());
  server.listen(port, '127.0.0.1');
}
