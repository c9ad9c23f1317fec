import { E, Far } from '@endo/far';

// The vat that the load maker calls. It cannot tell the time: it makes messages, and counts what becomes of them.
export const buildRootObject = (vatPowers, { payload }) => {
  let targets = harden([]);
  const text = 'x'.repeat(payload);
  let calls = 0;
  let sent = 0;
  let wrong = 0;

  // Calls of one caller come in the order in which they were made.
  const note = seq => {
    calls += 1;
    if (seq !== calls) wrong += 1;
  };

  const ping = async target => {
    sent += 1;
    const n = sent;
    const answer = await E(target).ping(n, text);
    if (answer !== n) wrong += 1;
  };

  return Far('Driver', {
    // One of the drivers is the bootstrap vat: it tells all of them, by their names, whom they send to.
    bootstrap: async vats => {
      const names = Object.keys(vats);
      const numbered = prefix =>
        names
          .filter(name => name.startsWith(prefix))
          .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
          .map(name => vats[name]);
      const drivers = numbered('a');
      const all = numbered('b');
      const share = all.length / drivers.length;
      await Promise.all(
        drivers.map((driver, i) => E(driver).connect(all.slice(i * share, (i + 1) * share))),
      );
    },
    connect: given => {
      targets = given;
    },

    // Round trips, one after the other.
    ping: async (seq, rounds) => {
      note(seq);
      for (let i = 0; i < rounds; i += 1) await ping(targets[0]);
      return rounds;
    },

    // Messages that nobody answers, and one behind them that says how many came.
    send: async (seq, rounds) => {
      note(seq);
      for (let i = 0; i < rounds; i += 1) {
        sent += 1;
        E.sendOnly(targets[0]).hit(sent, text);
      }
      const now = sent;
      const came = await E(targets[0]).count();
      if (came !== now) wrong += 1;
      return rounds;
    },

    // A message to the result of the message before; nothing is awaited on the way unless STEPS says so.
    pipeline: async (seq, depth, steps) => {
      note(seq);
      let end = targets[0];
      for (let i = 0; i < depth; i += 1) {
        sent += 1;
        end = E(end).next(seq, i, depth - 1);
        if (steps) end = await end;
      }
      await end;
      return depth;
    },

    // The same to everybody.
    fanout: async seq => {
      note(seq);
      sent += 1;
      const n = sent;
      const answers = await Promise.all(targets.map(target => E(target).ping(n, text)));
      for (const answer of answers) if (answer !== n) wrong += 1;
      return answers.length;
    },

    // Objects that are made, passed on, and let go of by both sides.
    churn: async (seq, objects) => {
      note(seq);
      const things = [];
      for (let i = 0; i < objects; i += 1) things.push(Far('Thing', {}));
      sent += objects;
      const taken = await E(targets[0]).take(harden(things));
      if (taken !== objects) wrong += 1;
      return objects;
    },

    report: () => harden({ calls, sent, wrong }),
  });
};
