// A server of zeros, over HTTP/2 and TLS: as fast as Node can.
// Run as: node zeros.js cert.pem key.pem. Prints its port when it listens.
//
//   GET /N   N bytes of zeros, at the pace of the client's windows
//   PUT /    reads the body to its end and says how many bytes it had
//
// Its own windows are large, so that they hold up no upload.

'use strict';

const fs = require('node:fs');
const http2 = require('node:http2');

const BLOCK = Buffer.alloc(256 * 1024);
const WINDOW = 32 * 1024 * 1024;

function sendZeros(stream, length) {
  let left = length;
  const more = () => {
    while (left > 0) {
      const size = Math.min(left, BLOCK.length);
      left -= size;
      if (!stream.write(BLOCK.subarray(0, size))) return;
    }
    stream.removeListener('drain', more);
    stream.end();
  };
  stream.respond({ ':status': 200, 'content-length': length });
  stream.on('drain', more);
  more();
}

function takeUpload(stream) {
  let length = 0;
  stream.on('data', (piece) => (length += piece.length));
  stream.on('end', () => {
    stream.respond({ ':status': 200 });
    stream.end(String(length));
  });
}

const [cert, key] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const settings = { initialWindowSize: WINDOW };
const server = http2.createSecureServer({ cert, key, settings });
server.on('session', (session) => session.setLocalWindowSize(WINDOW));
server.on('stream', (stream, headers) => {
  if (headers[':method'] === 'PUT') takeUpload(stream);
  else sendZeros(stream, Number(headers[':path'].slice(1)));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
