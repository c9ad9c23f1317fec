/* Map and Set against a model that is plainly what the language says: a list with holes, iterators that
 * are places in it. And how long many deletions take. */
import { Far } from '@endo/far';

const makeModel = () => {
  let list = [];
  const at = key => list.findIndex(it => it && it.key === key);
  return {
    get: key => (at(key) < 0 ? undefined : list[at(key)].value),
    set: (key, value) => {
      if (at(key) < 0) list.push({ key, value });
      else list[at(key)].value = value;
    },
    delete: key => {
      const found = at(key);
      if (found >= 0) list[found] = undefined;
      return found >= 0;
    },
    clear: () => { list = list.map(() => undefined); },
    size: () => list.filter(it => it).length,
    iterator: () => {
      let place = 0;
      let done = false;
      return () => {
        while (!done && place < list.length && !list[place]) place += 1;
        if (done || place >= list.length) {
          done = true;
          return 'done';
        }
        place += 1;
        return `${list[place - 1].key}=${list[place - 1].value}`;
      };
    },
  };
};

/* xorshift: the same steps for the same seed */
const makeChance = seed => n => {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % n;
};

/* MAP has the methods of a Map; for a Set, value is key. */
const walk = (seed, steps, keys, isSet) => {
  const chance = makeChance(seed);
  const table = isSet ? new Set() : new Map();
  const model = makeModel();
  const pairs = [];
  const check = (step, what, one, other) => {
    if (one !== other) throw Error(`seed ${seed} step ${step}: ${what} is ${one}, not ${other}`);
  };
  const next = iterator => {
    const { done, value } = iterator.next();
    return done ? 'done' : `${value[0]}=${value[1]}`;
  };
  for (let step = 0; step < steps; step += 1) {
    const key = `k${chance(keys)}`;
    const way = chance(20);
    if (way < 7) {
      const value = isSet ? key : step;
      if (isSet) table.add(key);
      else table.set(key, value);
      model.set(key, value);
    } else if (way < 14) {
      check(step, `delete ${key}`, table.delete(key), model.delete(key));
    } else if (way < 15 && chance(10) === 0) {
      table.clear();
      model.clear();
    } else if (way < 16) {
      if (pairs.length > 5) pairs.shift();
      pairs.push([table.entries(), model.iterator()]);
    } else if (pairs.length) {
      const [iterator, place] = pairs[chance(pairs.length)];
      check(step, 'next', next(iterator), place());
    }
    check(step, 'size', table.size, model.size());
    check(step, `has ${key}`, table.has(key), model.get(key) !== undefined);
    if (step % 50 === 0) {
      const place = model.iterator();
      table.forEach((value, it) => check(step, 'forEach', `${it}=${value}`, place()));
      check(step, 'end of forEach', 'done', place());
    }
  }
};

/* Deletes while forEach goes on, and adds at the end of it. */
const walkInside = isSet => {
  const table = isSet ? new Set([0]) : new Map([[0, 0]]);
  const seen = [];
  table.forEach((_value, key) => {
    seen.push(key);
    table.delete(key);
    if (key < 5) {
      if (isSet) table.add(key + 1);
      else table.set(key + 1, 0);
    }
  });
  return seen.join();
};

const fill = n => new Map(Array.from({ length: n }, (_, i) => [i, i]));

export function buildRootObject() {
  return Far('root', {
    same: (seeds, steps, keys) => {
      for (let seed = 1; seed <= seeds; seed += 1) {
        walk(seed * 7919, steps, keys, false);
        walk(seed * 104729, steps, keys, true);
      }
      return 'same';
    },
    inside: () => [walkInside(false), walkInside(true)],
    deleteMany: n => {
      const forwards = fill(n);
      for (let i = 0; i < n; i += 1) forwards.delete(i);
      const backwards = fill(n);
      for (let i = n - 1; i >= 0; i -= 1) backwards.delete(i);
      const holes = fill(n);
      for (let i = 0; i < n; i += 2) holes.delete(i);
      const queue = fill(n);
      for (let i = 0; i < n; i += 1) {
        queue.delete(i);
        queue.set(n + i, i);
      }
      const all = new Set(fill(n).keys());
      for (const key of all) all.delete(key);
      return [forwards.size, backwards.size, holes.size, queue.size, all.size, queue.keys().next().value];
    },
  });
}
