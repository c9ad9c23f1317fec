/* Reads and writes IO channels; what a read gave is kept in order, as one vat would see it. */
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let channels;
  const seen = [];
  const words = e => `${e.name}: ${e.message}`;
  return Far('lines', {
    bootstrap(_vats, services) {
      channels = services;
      return Object.keys(services).sort();
    },
    read: name => E(channels[name]).read(),
    write: (name, text) => E(channels[name]).write(text),
    /* Asks for COUNT units at once, and returns before they come. */
    ask(name, count) {
      for (let i = 0; i < count; i += 1) {
        E(channels[name]).read().then(line => seen.push(line), e => seen.push(words(e)));
      }
      return count;
    },
    seen: () => harden([...seen]),
    tries: (name, text) => E(channels[name]).write(text).then(() => 'written', words),
    triesToRead: name => E(channels[name]).read().then(line => `got ${line}`, words),
    methods: name => E(channels[name]).__getMethodNames__(),
  });
};
