// State that is nowhere but in the JavaScript heap, of every kind there is. step(n) changes all of it and says what it is by then,
// as a number that depends on all steps before: with and without kills it must be the same.
import { Far } from '@endo/far';

class Counter {
  #n = 0;
  static made = 0;
  constructor(by) {
    Counter.made += 1;
    this.by = by;
  }
  bump() {
    this.#n += this.by;
    return this.#n;
  }
  get n() {
    return this.#n;
  }
}
class Loud extends Counter {
  bump() {
    return -super.bump();
  }
}

function* fibonacci() {
  let [a, b] = [0, 1];
  for (;;) {
    const reset = yield a;
    [a, b] = reset ? [0, 1] : [b, (a + b) % 1000003];
  }
}

async function* doubled(source) {
  for await (const item of source) yield item * 2;
}

const makeMailbox = () => {
  const items = [];
  let wake;
  return {
    put: item => {
      items.push(item);
      if (wake) wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (items.length) yield items.shift();
        await new Promise(resolve => {
          wake = resolve;
        });
      }
    },
  };
};

// FNV-1a, 32 bits.
const hash = (text, before) => {
  let h = before >>> 0;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 16777619) >>> 0;
  return h;
};

export const buildRootObject = () => {
  const log = [];
  const counters = [new Counter(1), new Loud(2), new Counter(3)];
  const generator = fibonacci();
  const mailbox = makeMailbox();
  const keys = new Map(); // n -> an object that is a key below
  const weak = new WeakMap();
  const marked = new WeakSet();
  const set = new Set();
  const symbols = { [Symbol.for('a')]: 1, [Symbol.iterator]: 2 };
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  const pending = new Map(); // n -> resolve
  const word = /[aeiou]/g;
  const seen = [];
  const watched = new Proxy({ gets: 0 }, {
    get: (target, key) => {
      target.gets += 1;
      return key === 'gets' ? target.gets : `got ${String(key)}`;
    },
  });
  let digest = 2166136261;
  let add = x => x;
  let big = 1n;
  let depth = 0;
  let fired = 0;
  const note = text => {
    log.push(text);
    if (log.length > 20) log.shift();
  };

  // Suspended between steps: two async functions and an async generator.
  (async () => {
    for await (const item of doubled(mailbox)) note(`mail ${item}`);
  })();
  let go;
  (async () => {
    for (let round = 0; ; round += 1) {
      const got = await new Promise(resolve => {
        go = resolve;
      });
      note(`round ${round} ${got}`);
    }
  })();

  const sync = n => {
    counters[n % 3].bump();
    if (n % 11 === 0) counters.push(n % 2 ? new Loud(n % 5) : new Counter(n % 7));
    if (counters.length > 12) counters.splice(3, 4);
    generator.next(n % 30 === 29);
    const key = { n };
    keys.set(n, key);
    weak.set(key, n * n);
    if (n % 3 === 0) marked.add(key);
    keys.delete(n - 10);
    set.add(n % 17);
    if (n % 5 === 0) set.delete((n / 5) % 17);
    symbols[Symbol.for('a')] += n;
    view.setFloat64((n % 8) * 8, n / 7);
    bytes.copyWithin(n % 32, 32, 40);
    const inner = add;
    const step = depth;
    add = x => (inner(x) + step + n) % 65521;
    depth += 1;
    if (depth > 50) {
      const value = add(1);
      add = x => (x + value) % 65521;
      depth = 0;
    }
    big = (big * 31n + BigInt(n)) % 170141183460469231731687303715884105727n;
    word.lastIndex = n % 9;
    const match = word.exec('checkpoints and deliveries');
    seen.push(match ? match.index : -1, word.lastIndex);
    if (seen.length > 30) seen.splice(0, 10);
    `${watched.some}${watched.thing}`;
    new Promise(resolve => {
      pending.set(n, resolve);
    }).then(value => note(`settled ${n} ${value}`));
    const old = pending.get(n - 4);
    if (old) old(`by ${n}`);
    pending.delete(n - 4);
    mailbox.put(n);
    go(`step ${n}`);
  };
  const state = () => [
    log, counters.map(c => [c instanceof Loud, c.n]), Counter.made, generator.next().value, [...set], [...bytes],
    symbols[Symbol.for('a')], `${big}`, add(depth), seen, watched.gets, fired, [...pending.keys()],
    [...keys].map(([n, key]) => [n, weak.get(key), marked.has(key)]),
  ];
  const ticks = async n => {
    for (let i = 0; i < n; i += 1) await undefined;
  };

  return Far('heap', {
    ping: () => 'heap',
    step: async n => {
      sync(n);
      await ticks(5 + (n % 4));
      if (n % 4 === 0) {
        // Over several deliveries, and with two timers at once.
        const done = [];
        await Promise.all(
          [30, 10].map(
            ms =>
              new Promise(resolve => {
                setTimeout(() => {
                  fired += ms;
                  done.push(ms);
                  resolve();
                }, ms);
              }),
          ),
        );
        note(`timers ${done.length}`);
      }
      digest = hash(JSON.stringify(state()), digest);
      return digest;
    },
  });
};
