// What Node's two resolvers say: c-ares (dns.resolve*) asks the DNS server, getaddrinfo (dns.lookup) the C library.
const dns = require('dns').promises;
const name = process.argv[2];
const told = (promise) => promise.then((value) => value, (error) => error.code);

(async () => {
  const found = {
    aaaa: await told(dns.resolve6(name)),
    a: await told(dns.resolve4(name)),
    txt: await told(dns.resolveTxt(name)),
    lookup: await told(dns.lookup(name, { all: true }).then((all) => all.map((one) => one.address))),
    lookup4: await told(dns.lookup(name, { family: 4 })),
  };
  console.log(JSON.stringify(found));
})();
