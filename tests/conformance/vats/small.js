// Small vats of SwingSet's and ocap-kernel's smaller tests; `role` says which one.
import { E, Far } from '@endo/far';

const roles = {};

// exomessages
roles.answers = (_log, { argv }) => {
  const other = Far('other', { something: word => word });
  const answer = mode => {
    if (mode === 'reject') throw Error('gratuitous error');
    return { data: 'a big hello to all intelligent lifeforms everywhere', presence: other }[mode];
  };
  return Far('root', { bootstrap: () => answer(argv[0]), extra: answer });
};

// reaps: `count` messages to another vat
roles.sender = (_log, { count }) =>
  Far('root', {
    async bootstrap({ sink }) {
      const answers = Array.from({ length: count }, (_, n) => E(sink).take(n));
      await Promise.all(answers);
    },
  });
roles.sink = () => Far('root', { take: n => n });

// reaps by references: the maker hands out one thing after the other, the holder drops each
roles.director = (_log, { count }) =>
  Far('root', {
    async bootstrap({ maker, holder }) {
      for (let n = 0; n < count; n += 1) {
        await E(maker).giveOne(holder);
        await E(holder).nothing();
      }
    },
  });
roles.maker = () => Far('root', { giveOne: holder => E(holder).take(Far('thing', {})) });
roles.holder = () => Far('root', { take() {}, nothing() {} });

// logger
roles.logs = (_log, { name }, vatPowers) => {
  const { log } = vatPowers.logger.subLogger({ tags: ['test', name] });
  return Far('root', { bootstrap() {}, foo: () => log(`foo: ${name}`) });
};

// garbage-collection
roles.exporter = () => {
  const made = new Map();
  return Far('root', {
    bootstrap() {},
    createObject(id) {
      made.set(id, Far('shared', { getValue: () => id }));
      return made.get(id);
    },
    isObjectPresent: id => made.has(id),
    forgetObject: id => made.delete(id),
  });
};
roles.importer = () => {
  const strong = new Map();
  const weak = new WeakMap();
  return Far('root', {
    storeImport: (thing, id) => void strong.set(id, thing),
    useImport: id => E(strong.get(id)).getValue(),
    listImportedObjects: () => [...strong.keys()],
    makeWeak(id) {
      weak.set(strong.get(id), id);
      strong.delete(id);
    },
    recognizes: thing => weak.get(thing),
    forget: thing => weak.delete(thing),
  });
};

// async-generator: a generator on one side, a loop on the other
roles.generator = (log, { name }) => {
  const generate = async function* generate(stop) {
    for (let n = 0; n < stop; n += 1) {
      log(`${name} generating ${n}`);
      yield n;
    }
  };
  return Far('root', {
    async bootstrap({ consumer, producer }) {
      log(`${name} is bootstrap`);
      await E(consumer).iterate(producer);
    },
    generate(stop) {
      const values = generate(stop);
      return Far('generator', { next: () => values.next().then(harden) });
    },
    async iterate(producer) {
      const remote = await E(producer).generate(5);
      const values = {
        [Symbol.asyncIterator]: () => ({ next: () => E(remote).next() }),
      };
      for await (const value of values) log(`${name} iterating ${value}`);
    },
  });
};

export const buildRootObject = (vatPowers, parameters) => roles[parameters.role](text => console.log(text), parameters, vatPowers);
