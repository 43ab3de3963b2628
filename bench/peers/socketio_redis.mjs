// What socket.io with its Redis adapter needs for what bench/backplane.lua
// measures of evws, in CPU of this process: a publish of 100 bytes to a room,
// 64 in a turn, with and without the adapter, and how long one takes to another
// server by way of Redis, until it would go to its clients:
//
//   npm install --prefix DIRECTORY socket.io@4.8.4 \
//     @socket.io/redis-adapter@8.3.0 redis@6.3.1
//   cp bench/peers/socketio_redis.mjs DIRECTORY
//   node DIRECTORY/socketio_redis.mjs redis://127.0.0.1:6379

import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { Adapter } from "socket.io-adapter";

const url = process.argv[2];
const count = 100000, inATurn = 64, message = "x".repeat(100);
const clients = [];

const turn = () => new Promise(setImmediate);

async function connected() {
  const client = createClient(url.startsWith("/")
    ? { socket: { path: url } } : { url });
  clients.push(client);
  return client.connect();
}

async function server() {
  const adapter = createAdapter(await connected(), await connected());
  return new Server({ adapter });
}

async function publish(io) {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i += inATurn) {
    for (let j = 0; j < inATurn; j++) io.to("other").emit("m", message);
    await turn();
  }
  await Promise.all(clients.map(client => client.ping()));
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / count).toFixed(2);
}

let arrived = () => {};
async function latency(from) {
  const times = [];
  for (let i = 0; i < 5000; i++) {
    const began = process.hrtime.bigint();
    const other = new Promise(resolve => { arrived = resolve; });
    from.to("other").emit("latency", message);
    await other;
    times.push(Number(process.hrtime.bigint() - began) / 1e6);
  }
  times.sort((a, b) => a - b);
  return [times[2500], times[4950]].map(ms => ms.toFixed(3));
}

console.log(`emit without an adapter   ${await publish(new Server())} us`);
const one = await server();
console.log(`emit with one             ${await publish(one)} us`);
const other = await server();
// somebody has to be in the room, or what comes is dropped at once
other.of("/").adapter.addAll("member", new Set(["other"]));
const broadcast = Adapter.prototype.broadcast;
Adapter.prototype.broadcast = function (...args) {
  if (this.nsp.server === other) arrived();
  return broadcast.apply(this, args);
};
await new Promise(resolve => setTimeout(resolve, 300));
const [half, most] = await latency(one);
console.log(`from one to another       ${half} ms, 99 % in ${most} ms`);
process.exit(0);
