import { E, Far } from '@endo/far';

// She has what the examples of help and pages ask of @hello/alice.
export const buildRootObject = () => {
  let bank;
  return Far('Alice', {
    bootstrap: async ({ bob, bank: theBank }) => {
      bank = theBank;
      console.log('I am Alice');
      // So that the bank's next object is its seventh.
      for (let i = 0; i < 6; i += 1) await E(bank).makeMint(`M${i}`);
      return E(bob).hello('Alice');
    },
    greet: (name, _number) => `hello ${name}`,
    make: amount => Far('Present', { amount: () => amount }),
    pay: amount => E(bank).withdraw(amount),
    log: text => console.log(text),
  });
};
