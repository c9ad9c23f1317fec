// Ends in the way it is asked to, after a crank's worth of last words: a message with a fresh object, and the
// answer that somebody waits for.
import { E, Far } from '@endo/far';

const deeper = 600; // than a body may be: wire/base/limits.h, BODY_DEPTH_MAX

const nest = depth => {
  let value = 'core';
  for (let i = 0; i < depth; i += 1) value = harden([value]);
  return value;
};

const turns = async n => {
  for (let i = 0; i < n; i += 1) await null;
};

export const buildRootObject = ({ exitVat, exitVatWithFailure }, { atStart } = {}) => {
  const keep = [];
  let answer;
  const recurse = n => 1 + recurse(n + 1);
  const ways = {
    exit: () => exitVat('bye'),
    exitWithFailure: () => exitVatWithFailure(Error('had enough')),
    async illegal(friend) {
      E(friend).hear(nest(deeper));
      await turns(10);
      // What it says now no longer counts, not even that it wants to end well.
      E(friend).hear('afterwards');
      await turns(10);
      exitVat('bye');
    },
    compute() {
      for (;;);
    },
    clock: () => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1),
    memory() {
      for (;;) keep.push(new Uint8Array(1_000_000));
    },
    stack: () => recurse(0),
    // Not an end: work for some seconds, and an answer.
    work() {
      let n = 0;
      while (n < 50_000_000) n += 1;
      return n;
    },
    idle: () => new Promise(() => {}),
  };
  if (atStart === 'throw') throw Error('thrown from buildRootObject');
  if (atStart) ways[atStart]();
  return Far('mortal', {
    ok: () => 'still alive',
    make: () => Far('thing', { late: () => 'too late' }),
    take(other) {
      keep.push(other);
    },
    hold() {
      return new Promise(resolve => {
        answer = resolve;
      });
    },
    async end(way, friend) {
      E(friend).hear('last words', Far('last'));
      answer('kept');
      await turns(20);
      return ways[way](friend);
    },
  });
};
