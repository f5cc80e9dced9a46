// Five requests through one agent, whose connection must serve them all; then one that waits for 100 Continue.
const http = require('http');
const host = process.argv[2];
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const ports = new Set();
const told = { interim: [] };

const get = () => new Promise((resolve, reject) => {
  const request = http.get({ host, path: '/healthz', agent }, (answer) => {
    ports.add(request.socket.localPort);
    answer.resume().on('end', resolve);
  }).on('error', reject);
});

const post = () => new Promise((resolve, reject) => {
  const headers = { Expect: '100-continue', 'Content-Length': 5 };
  const request = http.request({ host, path: '/echo', method: 'POST', agent, headers }, (answer) => {
    let body = '';
    answer.on('data', (data) => (body += data)).on('end', () => resolve(body));
  }).on('error', reject);
  request.on('continue', () => { told.interim.push(100); request.end('hello'); });
  request.flushHeaders();
});

(async () => {
  for (let i = 0; i < 5; i += 1) await get();
  told.body = await post();
  agent.destroy();
  console.log(JSON.stringify({ ...told, connections: ports.size }));
})();
