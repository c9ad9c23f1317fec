// Small vats in ocap-kernel's manner: buildRootObject(vatPowers, parameters, baggage), bootstrap(vats, services), a logger
// among the powers. `parameters.role` says which one a vat is.
import { E, Far } from '@endo/far';

const roles = {};

// ---- rejection

roles.asker = log =>
  Far('asker', {
    async bootstrap({ refuser }) {
      log(await E(refuser).answer(false));
      await E(refuser)
        .answer(true)
        .catch(() => log('err'));
      log(await E(refuser).answer(false));
    },
  });

roles.refuser = log =>
  Far('refuser', {
    async answer(refuse) {
      log(refuse ? 'reject' : 'resolve');
      if (refuse) throw Error('error: bar');
      return 'bar';
    },
  });

// ---- vat-lifecycle, persistence: counts in baggage

roles.counter = (log, _parameters, baggage) => {
  let count = 1;
  if (baggage.has('count')) {
    count = baggage.get('count');
    log(`resumed with count: ${count}`);
  } else {
    baggage.init('count', count);
    log(`initialized with count: ${count}`);
  }
  return Far('counter', {
    bootstrap: () => `Counter initialized with count: ${count}`,
    resume() {
      count += 1;
      baggage.set('count', count);
      return `Counter incremented to: ${count}`;
    },
  });
};

roles.coordinator = (_log, _parameters, baggage) =>
  Far('coordinator', {
    bootstrap({ worker1, worker2 }) {
      baggage.init('workers', harden([worker1, worker2]));
      return `Coordinator initialized with ${baggage.get('workers').length} workers`;
    },
    async resume() {
      const done = await Promise.all(baggage.get('workers').map(worker => E(worker).resume()));
      return `Work completed: ${done.join(', ')}`;
    },
  });

roles.worker = (_log, { id }, baggage) => {
  if (!baggage.has('work')) baggage.init('work', 0);
  return Far('worker', {
    resume() {
      baggage.set('work', baggage.get('work') + 1);
      return `Worker${id}(${baggage.get('work')})`;
    },
  });
};

// ---- resume: three vats that keep each other's roots

roles.friend = (log, { name }, baggage) => {
  if (baggage.has('name')) {
    log(`saved name is ${baggage.get('name')}`);
    baggage.set('starts', baggage.get('starts') + 1);
  } else {
    log('saving name');
    baggage.init('name', name);
    baggage.init('starts', 1);
  }
  log(`start count: ${baggage.get('starts')}`);

  const greetAll = async (friends, text, tell) => {
    const answers = await Promise.all(friends.map(friend => E(friend).greet(text)));
    answers.forEach(tell);
  };
  const self = Far('friend', {
    async bootstrap({ bob, carol }) {
      log('bootstrap()');
      baggage.init('friends', harden([bob, carol]));
      await Promise.all([E(bob).intro(self), E(carol).intro(self)]);
      await greetAll([bob, carol], `hello from ${name}`, (answer, n) =>
        log(`${['Bob', 'Carol'][n]} answers greeting: '${answer}'`),
      );
      log('end bootstrap');
      return `bootstrap ${name}`;
    },
    intro(bootVat) {
      log('intro()');
      baggage.init('bootVat', bootVat);
    },
    greet(text) {
      log(`greet('${text}')`);
      return `${name} returns your greeting '${text}'`;
    },
    async resume() {
      log('resume()');
      if (baggage.has('friends')) {
        log('resumed vat is bootstrap');
        await greetAll(baggage.get('friends'), `hello again from ${name}`, (answer, n) =>
          log(`${['Bob', 'Carol'][n]} answers greeting: '${answer}'`),
        );
      } else {
        log('resumed vat is not bootstrap');
        await greetAll([baggage.get('bootVat')], `hello boot vat from ${name}`, answer =>
          log(`boot vat returns greeting with '${answer}'`),
        );
      }
      log('end resume');
      return `resume ${name}`;
    },
  });
  return self;
};

// ---- orphaned-ephemeral-exo

roles.provider = () => {
  const ephemeral = Far('ephemeral', { increment: () => 999 });
  return Far('provider', { getEphemeral: () => ephemeral });
};

roles.consumer = () => {
  let ephemeral;
  return Far('consumer', {
    async bootstrap({ provider }) {
      ephemeral = await E(provider).getEphemeral();
    },
    useEphemeral: () => E(ephemeral).increment(),
  });
};

// ---- subclusters, syscall-validation: makes things by name

roles.plain = () => {
  const made = new Map();
  return Far('plain', {
    bootstrap: () => 'bootstrap complete',
    createObject(id) {
      made.set(id, Far('SharedObject', { getValue: () => id }));
      return made.get(id);
    },
    noop: () => 'noop',
  });
};

// ---- vatstore: two others bump a number in alice's baggage

roles.bumped = (_log, { name }, baggage) => {
  const self = Far('bumped', {
    async bootstrap({ alice, bob, carol }) {
      baggage.init('thing', 1);
      baggage.init('goAway', 'now you see me');
      const answers = [E(bob).go(name, alice), E(carol).go(name, alice)];
      await answers[0];
      await answers[1];
      baggage.delete('goAway');
      await E(bob).loopback();
    },
    bump: () => baggage.set('thing', baggage.get('thing') + 1),
    go(from, other) {
      E(other).bump(name);
      return `vat ${name} got "go" from ${from}`;
    },
    loopback() {},
  });
  return self;
};

// ---- service: whatever is handed to bootstrap

roles.customer = log => {
  let service;
  const self = Far('customer', {
    bootstrap(_vats, services) {
      log(`services: ${Object.keys(services).sort()}`);
      service = Object.values(services)[0];
    },
    go: (method, ...words) => E(service)[method](...words),
    async goBadly() {
      try {
        log(`kernel service returns ${await E(service).nonexistentMethod(self, 'hello')}`);
      } catch (problem) {
        log(`kernel service threw: ${problem.message}`);
      }
    },
  });
  return self;
};

export const buildRootObject = (vatPowers, parameters, baggage) => {
  const { log } = vatPowers.logger;
  return roles[parameters.role](log, parameters, baggage);
};
