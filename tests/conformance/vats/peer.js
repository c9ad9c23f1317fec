// A vat that does what a test tells it, step by step: makes things, hands them on, holds, drops and calls
// them; makes promises and settles them; ends. Nothing is kept but what a name in `held` keeps.
import { E, Far } from '@endo/far';

const tell = promise =>
  Promise.resolve(promise).then(
    value => ['fulfilled', value],
    error => ['rejected', error.message],
  );

export const buildRootObject = ({ exitVat, exitVatWithFailure }, { failStart } = {}) => {
  if (failStart) throw Error(failStart);
  const held = new Map();
  const memos = new WeakMap();
  const kits = new Map();
  const answers = new Map();
  const lines = [];

  const makeThing = name =>
    Far('thing', {
      ping: (...words) => [name, ...words],
      say(word) {
        lines.push(word);
      },
    });

  return Far('actor', {
    bootstrap() {},
    ping: () => 'pong',
    say(word) {
      lines.push(word);
    },
    lines: () => [...lines],

    // -- things
    make: name => makeThing(name),
    give(name, ...others) {
      const thing = makeThing(name);
      return Promise.all(others.map(other => E(other).take(name, thing))).then(() => others.length);
    },
    async giveKept(name, ...others) {
      held.set(name, makeThing(name));
      await Promise.all(others.map(other => E(other).take(name, held.get(name))));
    },
    handOn: (name, other) => E(other).take(name, held.get(name)),
    take(name, value) {
      held.set(name, value);
    },
    has: name => held.has(name),
    use: (name, ...words) => tell(E(held.get(name)).ping(...words)),
    drop(name) {
      held.delete(name);
    },
    // Only recognized from here on.
    weaken(name) {
      memos.set(held.get(name), `memo of ${name}`);
      held.delete(name);
    },
    memo: name => `${memos.get(held.get(name))}`,

    // -- calls
    async pipeline(other, name, n) {
      const thing = E(other).make(name);
      const all = [];
      for (let i = 1; i <= n; i += 1) all.push(E(thing).ping(i));
      held.set(name, thing);
      return Promise.all(all);
    },
    async calls(other, n) {
      for (let i = 0; i < n; i += 1) await E(other).ping();
    },

    // -- promises
    defer(name) {
      return new Promise((resolve, reject) => kits.set(name, { resolve, reject }));
    },
    settle(name, value) {
      kits.get(name).resolve(value);
    },
    // A promise of this vat's is settled with another one of this vat's.
    settleWith(name, other) {
      kits.get(name).resolve(held.get(other));
    },
    settleWithThing(name) {
      kits.get(name).resolve(makeThing(name));
    },
    deferHere(name) {
      held.set(name, new Promise((resolve, reject) => kits.set(name, { resolve, reject })));
    },
    promise: name => ({ it: held.get(name) }),
    async fetch(other, name) {
      const { it } = await E(other).promise(name);
      held.set(name, it);
      it.catch(() => {});
    },
    sayTo(name, word) {
      E(held.get(name)).say(word);
    },
    // Asks, and tells the answer later.
    ask(name, other, method, ...args) {
      answers.set(name, tell(E(other)[method](...args)));
    },
    answer: name => answers.get(name),

    // -- ends
    exitThenSend(friend, failure) {
      if (failure) exitVatWithFailure(Error('had enough'));
      else exitVat('bye');
      E(friend).say('one');
      E(friend).say('two');
      return 'last';
    },
    loop() {
      for (;;);
    },
    nativeLoop: () => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1),
    never: () => new Promise(() => {}),
  });
};
