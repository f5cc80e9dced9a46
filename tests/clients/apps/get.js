// GET by each of Node's three HTTP clients; prints [status, version, body] or the error's code, as JSON.
const [how, url] = process.argv.slice(2);
const say = (...words) => console.log(JSON.stringify(words));

const clients = {
  async fetch() {
    const answer = await fetch(url);
    say(answer.status, 'fetch', await answer.text());
  },
  http() {
    require(new URL(url).protocol.slice(0, -1)).get(url, (answer) => {
      let body = '';
      answer.on('data', (data) => (body += data));
      answer.on('end', () => say(answer.statusCode, answer.httpVersion, body));
    }).on('error', (error) => say(error.code));
  },
  http2() {
    const session = require('http2').connect(url);
    session.on('error', (error) => say(error.code));
    const stream = session.request({ ':path': new URL(url).pathname });
    let status, body = '';
    stream.on('response', (headers) => (status = headers[':status']));
    stream.on('data', (data) => (body += data));
    stream.on('end', () => { say(status, session.alpnProtocol, body); session.close(); });
  },
};
Promise.resolve(clients[how]()).catch((error) => say((error.cause || error).code));
