/* A vat whose heap holds one of everything that JavaScript has. Each delivery of "step" asks all of it, and
 * moves it on: a generator yields again, an iterator stands one further, a promise is settled that something
 * awaits. What they say shows whether a heap is the one it was. */
/* global globalThis, harden, Compartment, TextDecoder, TextEncoder */
import { E, Far } from '@endo/far';

const show = value => {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'symbol') return String(value);
  if (Object.is(value, -0)) return '-0';
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`;
  if (ArrayBuffer.isView(value) && value.length !== undefined) return `${value[Symbol.toStringTag]}(${[...value].map(show).join(' ')})`;
  return String(value);
};

const things = {
  closures: () => {
    let n = 0;
    const up = by => { n += by; return n; };
    const down = () => up(-1);
    return step => [up(step), down(), n];
  },
  numbers: () => {
    const kept = [0, -0, NaN, Infinity, -Infinity, 2 ** 31, -(2 ** 31), 5e-324, 1.5, Number.MAX_SAFE_INTEGER];
    return () => kept;
  },
  strings: () => {
    const kept = ['', '\u0000', '\ud800 alone', '\u{1F600}', 'long '.repeat(1000).length, typeof undeclared, typeof Math.max, typeof 1n, `${[1, , 2]}`];
    let text = '';
    return step => { text += `${step},`; return [...kept, text]; };
  },
  bigints: () => {
    let n = -(3n ** 100n);
    return step => { n *= BigInt(step + 2); return [n, BigInt.asUintN(64, n)]; };
  },
  symbols: () => {
    const own = Symbol('own');
    const nameless = Symbol();
    const object = { [own]: 1, [Symbol.for('known')]: 2, [nameless]: 3, [Symbol.toStringTag]: 'Tagged' };
    return () => {
      object[own] += 1;
      return [object, object[own], object[Symbol.for('known')], Symbol.keyFor(Symbol.for('known')), own,
        ...Object.getOwnPropertySymbols(object)];
    };
  },
  maps: () => {
    const map = new Map();
    for (let i = 0; i < 40; i += 1) map.set(i % 3 ? i : `key ${i}`, { i });
    for (let i = 0; i < 40; i += 4) map.delete(i % 3 ? i : `key ${i}`);
    map.set(NaN, 'nan').set(-0, 'zero').set('text', 1n).set(undefined, null);
    const halfway = map.entries();
    halfway.next();
    return step => {
      map.delete(step);
      map.set(`step ${step}`, step);
      const { value, done } = halfway.next();
      return [map.size, map.get(NaN), map.get(0), done, value ? value[0] : '', [...map.keys()].join()];
    };
  },
  sets: () => {
    const set = new Set([1, 'a', 2n, Symbol.iterator, null]);
    const objects = [{}, {}, {}];
    for (const it of objects) set.add(it);
    const places = [set.values(), set.values()];
    places[1].next();
    return step => {
      set.delete(step % 2 ? 1 : 'a');
      set.delete(objects[0]);
      set.add(step);
      return [set.size, set.has(objects[1]), set.has(objects[0]), set.has(undefined), ...places.map(it => it.next().done)];
    };
  },
  emptied: () => {
    const map = new Map([[1, 1], [2, 2]]);
    const place = map.keys();
    place.next();
    map.clear();
    return step => { map.set(step, step); return [map.size, place.next().value]; };
  },
  weak: () => {
    const map = new WeakMap();
    const set = new WeakSet();
    const keys = [{}, {}, () => {}, [], new Map()];
    keys.forEach((it, i) => { map.set(it, { i, back: it }); if (i % 2) set.add(it); });
    for (let i = 0; i < 50; i += 1) map.set({}, i); /* nobody has these */
    return step => {
      const at = step % keys.length;
      map.get(keys[at]).i += 10;
      if (step % 3 === 0) keys[at] = (it => { map.set(it, { i: step, back: it }); return it; })({});
      return keys.map(it => `${map.get(it).i} ${map.get(it).back === it} ${set.has(it)}`);
    };
  },
  /* liveslots has a finalizer for each of these. */
  dropped: () => () => [new WeakMap([[{}, 1]]), new WeakSet()].length,
  generators: () => {
    function* inner(n) {
      try {
        for (const it of [n, n + 1]) yield it;
      } finally {
        yield `left ${n}`;
      }
    }
    function* outer() {
      const kept = { n: 0 };
      for (;;) {
        const got = yield* inner(kept.n);
        kept.n += 1;
        yield [kept.n, got, arguments.length]; // eslint-disable-line
        for (const key in { a: 1, b: 2 }) yield key;
        const [x, ...rest] = 'xyz';
        yield [x, ...rest];
      }
    }
    const it = outer();
    const other = outer();
    return step => [it.next(step).value, it.next().value, other.next().value];
  },
  asyncs: () => {
    const said = [];
    let settle;
    const next = () => new Promise((resolve, reject) => { settle = { resolve, reject }; });
    const run = async label => {
      for (let i = 0; ; i += 1) {
        try {
          // eslint-disable-next-line no-await-in-loop
          said.push(`${label} ${i} ${await next()}`);
        } catch (e) {
          said.push(`${label} ${i} threw ${e.message}`);
        } finally {
          said.push('f');
        }
      }
    };
    run('run');
    async function* stream() { for (let i = 0; ; i += 1) yield i * 2; }
    const flow = stream();
    const pending = [];
    const chain = new Promise(resolve => pending.push(resolve)).then(v => v + 1).then(v => { said.push(`chain ${v}`); return v; });
    return step => {
      if (step % 3) settle.resolve(step);
      else settle.reject(Error(`no ${step}`));
      flow.next().then(it => said.push(`flow ${it.value}`));
      if (step === 2) pending[0](step);
      if (step === 4) chain.then(v => said.push(`late ${v}`));
      const text = said.join(' ');
      said.length = 0;
      return text;
    };
  },
  promises: () => {
    const settled = [Promise.resolve(1), Promise.reject(Error('handled later')), new Promise(() => {})];
    settled[1].catch(() => {});
    const said = [];
    return step => {
      settled.forEach((it, i) => it.then(v => said.push(`${step} ${i} ${v}`), e => said.push(`${step} ${i} ${e.message}`)));
      Promise.race(settled).then(v => said.push(v));
      return said.splice(0);
    };
  },
  proxies: () => {
    const seen = [];
    const target = { a: 1 };
    const proxy = new Proxy(target, {
      get: (it, key, self) => { seen.push(`get ${String(key)}`); return Reflect.get(it, key, self); },
      has: (_it, key) => key === 'phantom',
    });
    const calls = new Proxy(x => x * 2, { apply: (f, self, args) => f(...args) + 1 });
    const { proxy: gone, revoke } = Proxy.revocable({}, {});
    revoke();
    return step => {
      proxy.a = step;
      let revoked;
      try { gone.x; } catch (e) { revoked = e.name; } // eslint-disable-line
      return [proxy.a, 'phantom' in proxy, 'a' in proxy, calls(step), revoked, ...seen.splice(0)];
    };
  },
  buffers: () => {
    const buffer = new ArrayBuffer(64);
    const views = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
      BigInt64Array, BigUint64Array].map(Type => new Type(buffer, 8, 2));
    const view = new DataView(buffer, 4);
    return step => {
      view.setUint16(4, step * 771);
      views[1].set([step, 255 - step]);
      return [...views, view.getInt32(2), views[3].buffer === buffer];
    };
  },
  regexps: () => {
    const sticky = /(?<first>[a-c])(\d+)?/yg;
    const unicode = /\p{Lu}(?=x)|(?<!y)z/u;
    const all = 'a1b2c3a4b5c6'.matchAll(/[a-c]\d/g);
    return step => {
      const found = sticky.exec('a12bc3a');
      return [sticky.lastIndex, found && found.groups.first, found && found[2], unicode.test(step % 2 ? 'Éx' : 'yz'), String(unicode),
        sticky.flags, all.next().value, 'a-b-c'.replace(/-(.)/g, (m, x) => x.toUpperCase()), sticky.source];
    };
  },
  classes: () => {
    class Base {
      #secret = 1;
      static #made = 0;
      static count() { return Base.#made; }
      constructor() { Base.#made += 1; }
      #bump() { this.#secret += 1; return this.#secret; }
      get secret() { return this.#bump(); }
      static has(it) { return #secret in it; }
    }
    class Derived extends Base {
      field = [1];
      get secret() { this.field.push(super.secret); return this.field.length; }
      ['computed key']() { return new.target; }
    }
    const kept = [new Base(), new Derived()];
    return () => {
      kept.push(new Derived());
      return [...kept.map(it => it.secret), Base.count(), Base.has(kept[0]), Base.has({}), kept[1] instanceof Base, Derived.name];
    };
  },
  errors: () => {
    const kept = [Error('plain'), TypeError('typed', { cause: Error('cause') }), AggregateError([Error('one')], 'many')];
    return () => kept.map(it => `${it.name} ${it.message} ${it.cause ? it.cause.message : ''} ${it.errors ? it.errors.length : ''} ${it instanceof Error}`);
  },
  objects: () => {
    const object = { get double() { return this.n * 2; }, set double(v) { this.n = v / 2; }, n: 1, 7: 'seven', [-1]: 'minus' };
    Object.defineProperty(object, 'hidden', { value: 'h', enumerable: false });
    const frozen = harden({ deep: { list: [1, 2] } });
    const bare = Object.create(null);
    const child = Object.create(object, { own: { value: 1, writable: true } });
    return step => {
      child.double = step;
      bare[`p${step}`] = step;
      return [Object.keys(object), child.n, object.double, Object.keys(bare), Object.isFrozen(frozen.deep.list),
        Object.getPrototypeOf(bare), object.hidden, Object.isExtensible(frozen)];
    };
  },
  arrays: () => {
    const sparse = [1, , 3]; // eslint-disable-line no-sparse-arrays
    sparse[100] = 'far';
    const walk = ['a', 'b', 'c'].entries();
    const letters = 'né\u{1F600}'[Symbol.iterator]();
    return step => {
      sparse[step * 3] = step;
      if (step % 5 === 4) sparse.length = 50;
      return [sparse.length, Object.keys(sparse), 1 in sparse, sparse.indexOf(3), walk.next().value, letters.next().value];
    };
  },
  functions: () => {
    const bound = function named(a, b) { return `${this.x} ${a} ${b} ${arguments.length}`; }.bind({ x: 1 }, 2); // eslint-disable-line
    const tag = parts => parts;
    const template = () => tag`one ${1} two\n`;
    const first = template();
    const later = (...args) => args.reduce((a, b) => a + b, 0);
    return step => [bound(step), first === template(), first.raw, later(1, 2, step), bound.name, bound.length, later.toString().length > 0];
  },
  texts: () => {
    const decoder = new TextDecoder();
    const fatal = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const encoder = new TextEncoder();
    return step => {
      let thrown = '';
      try { fatal.decode(new Uint8Array([0xff])); } catch (e) { thrown = e.name; }
      return [decoder.decode(encoder.encode(`é ${step}`)), thrown, fatal.fatal, decoder.encoding,
        decoder.decode(new Uint8Array([0xc3]), { stream: true }).length];
    };
  },
  compartments: () => {
    const compartment = new Compartment({ seen: harden([]), log: 0 });
    compartment.evaluate('globalThis.add = x => { globalThis.log += x; return globalThis.log; }; let kept = 5; globalThis.kept = () => kept++;');
    return step => [compartment.globalThis.add(step), compartment.evaluate('kept()'), compartment.evaluate('typeof Date')];
  },
  cycles: () => {
    const ring = { n: 0 };
    ring.next = { next: { next: ring, ring }, list: [ring] };
    const deep = Array.from({ length: 300 }).reduce(inner => ({ inner }), { n: 0 });
    return step => {
      ring.next.next.next.n += step;
      let depth = 0;
      for (let it = deep; it.inner; it = it.inner) depth += 1;
      return [ring.n, ring.next.list[0] === ring, depth];
    };
  },
};

/* How something is put into another, and how it is taken out again. */
const depths = new WeakMap();
const counted = (it, inner) => {
  depths.set(it, { inner });
  return it;
};
const uncount = it => depths.get(it).inner;
const nests = {
  object: [inner => ({ inner }), it => it.inner],
  array: [inner => [inner], it => it[0]],
  map: [inner => new Map([[1, inner]]), it => it.get(1)],
  set: [inner => new Set([inner]), it => [...it][0]],
  closure: [inner => () => inner, it => it()],
  promise: [inner => ({ it: Promise.resolve([inner]) }), async ({ it }) => (await it)[0]],
  pending: [inner => counted({ it: new Promise(() => {}).then(() => inner) }, inner), uncount],
  class: [inner => new (class { #inner = inner; get() { return this.#inner; } })(), it => it.get()],
  proxy: [inner => new Proxy({ inner }, {}), it => it.inner],
  getter: [inner => ({ get inner() { return inner; } }), it => it.inner],
  bound: [inner => { function f() { return this.inner; } return f.bind({ inner }); }, it => it()],
  error: [inner => Error('x', { cause: inner }), it => it.cause],
  prototype: [inner => counted(Object.create(inner), inner), Object.getPrototypeOf],
  weak: [inner => { const it = { map: new WeakMap() }; it.map.set(it, inner); return it; }, it => it.map.get(it)],
  generator: [inner => (function* g() { for (;;) yield inner; })(), it => it.next().value],
  async: [inner => { const it = {}; it.done = (async () => { await null; await new Promise(() => {}); return inner; })(); return counted(it, inner); }, uncount],
};

export const buildRootObject = () => {
  const begin = ([name, make]) => {
    try {
      return [name, make()];
    } catch (e) {
      throw Error(`${name}: ${e.message}`);
    }
  };
  const asked = Object.entries(things).map(begin);
  const held = new Map();
  let step = 0;
  let kit;
  return Far('root', {
    step: () => {
      step += 1;
      return asked.map(([name, ask]) => `${name}: ${show(ask(step))}`).join('\n');
    },
    names: () => asked.map(([name]) => name).join(' '),
    hold: (name, value) => { held.set(name, value); },
    tell: name => E(held.get(name)).told(step),
    /* An answer that waits for a later delivery. */
    wait: () => new Promise((resolve, reject) => { kit = { resolve, reject }; }),
    settle: value => kit.resolve(value),
    export: () => Far('exported', { self: () => step }),
    fill: count => { held.set(`filled ${held.size}`, Array.from({ length: count }, (_, i) => ({ i }))); },
    nestRegExp: depth => {
      try {
        return RegExp('('.repeat(depth) + ')'.repeat(depth)).source.length;
      } catch (e) {
        return e.message;
      }
    },
    spin: count => { let n = 0; for (let i = 0; i < count; i += 1) n += i; return n; },
    nest: (depth, kind) => {
      let it = null;
      for (let i = 0; i < depth; i += 1) it = nests[kind][0](it);
      held.set(kind, it);
    },
    depth: async kind => {
      let depth = 0;
      for (let it = held.get(kind); it; depth += 1) {
        it = nests[kind][1](it);
        if (it instanceof Promise) it = await it; // eslint-disable-line no-await-in-loop
      }
      return depth;
    },
  });
};
