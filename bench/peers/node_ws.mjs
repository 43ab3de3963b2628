// npm's ws: node node_ws.mjs PORT TLS_PORT DEFLATE_PORT CERTIFICATE KEY
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { WebSocketServer } from 'ws';

const [port, tlsPort, deflatePort, certificate, key] = process.argv.slice(2);
const everyone = new Set();

function serve(server, port, perMessageDeflate) {
  const options = { server, maxPayload: 64 << 20, perMessageDeflate };
  new WebSocketServer(options).on('connection', (ws, request) => {
    ws.on('error', () => {});
    if (request.url !== '/broadcast') {
      ws.on('message', (data, binary) => ws.send(data, { binary }));
      return;
    }
    everyone.add(ws);
    ws.on('close', () => everyone.delete(ws));
    ws.on('message', (data, binary) => {
      for (const member of everyone) member.send(data, { binary });
    });
  });
  server.listen({ host: '127.0.0.1', port: Number(port), backlog: 1024 });
}

serve(createServer(), port, false);
serve(createSecureServer({
  cert: readFileSync(certificate), key: readFileSync(key),
}), tlsPort, false);
serve(createServer(), deflatePort, {
  threshold: 0, zlibDeflateOptions: { level: 1 },
  serverNoContextTakeover: true, clientNoContextTakeover: true,
});
