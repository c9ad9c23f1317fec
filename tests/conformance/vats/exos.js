// Exo classes with guards, kits of two facets, and stores, each used inside the vat and by messages.
import { makeScalarMapStore, makeScalarSetStore } from '@agoric/store';
import { Far } from '@endo/far';
import { defineExoClass, defineExoClassKit, makeExo } from '@endo/exo';
import { M } from '@endo/patterns';

const number = () => M.call().returns(M.number());
const changes = () => M.call(M.number()).returns(M.number());

export const buildRootObject = (vatPowers, _parameters, baggage) => {
  const { log } = vatPowers.logger;
  const people = makeScalarMapStore('people');
  const known = makeScalarSetStore('known');

  const CounterI = M.interface('Counter', { getValue: number(), increment: changes(), decrement: changes() });
  const counterMethods = {
    getValue() {
      return this.state.value;
    },
    increment(by = 1) {
      this.state.value += by;
      return this.state.value;
    },
    decrement(by = 1) {
      this.state.value -= by;
      return this.state.value;
    },
  };
  const makeCounter = defineExoClass('Counter', CounterI, (value = 0) => ({ value }), counterMethods);

  const PersonI = M.interface('Person', {
    getName: M.call().returns(M.string()),
    befriend: M.call(M.any()).returns(M.number()),
  });
  const makePerson = defineExoClass('Person', PersonI, (name, age) => ({ name, age, friends: [] }), {
    getName() {
      return this.state.name;
    },
    befriend(friend) {
      this.state.friends.push(friend);
      return this.state.friends.length;
    },
  });

  const makeTemperature = defineExoClassKit(
    'Temperature',
    {
      celsius: M.interface('Celsius', { getCelsius: number(), setCelsius: changes() }),
      fahrenheit: M.interface('Fahrenheit', { getFahrenheit: number(), setFahrenheit: changes() }),
    },
    degrees => ({ degrees }),
    {
      celsius: {
        getCelsius() {
          return this.state.degrees;
        },
        setCelsius(degrees) {
          this.state.degrees = degrees;
          return degrees;
        },
      },
      fahrenheit: {
        getFahrenheit() {
          return (this.state.degrees * 9) / 5 + 32;
        },
        setFahrenheit(degrees) {
          this.state.degrees = ((degrees - 32) * 5) / 9;
          return degrees;
        },
      },
    },
  );

  let total = 0;
  const single = makeExo('SimpleCounter', CounterI, {
    getValue: () => total,
    increment(by) {
      total += by;
      return total;
    },
    decrement(by) {
      total -= by;
      return total;
    },
  });

  return Far('root', {
    bootstrap() {
      const counter = makeCounter(10);
      log(`Created counter with initial value: ${counter.getValue()}`);
      log(`Incremented counter by 5 to: ${counter.increment(5)}`);
      counter.increment(-3);
      log('ERROR: Increment with negative value should have failed'); // numbers may be negative
      const [alice, bob] = [makePerson('Alice', 30), makePerson('Bob', 25)];
      log(`Alice has ${alice.befriend(bob)} friends`);
      people.init('alice', alice);
      people.init('bob', bob);
      log(`Added ${people.getSize()} entries to map store`);
      known.add(alice);
      known.add(bob);
      log(`Added ${known.getSize()} entries to set store`);
      log(`Retrieved ${people.get('alice').getName()} from map store`);
      const { celsius, fahrenheit } = makeTemperature(25);
      log(`Temperature at 25°C = ${fahrenheit.getFahrenheit()}°F`);
      fahrenheit.setFahrenheit(68);
      log(`After setting to 68°F, celsius is ${celsius.getCelsius()}°C`);
      log(`SimpleCounter initial value: ${single.getValue()}`);
      log(`SimpleCounter after +7: ${single.increment(7)}`);
      baggage.init('counterValue', single.getValue());
      log(`Updated baggage counter to: ${baggage.get('counterValue')}`);
      return 'exo-test-complete';
    },
    createCounter: value => makeCounter(value),
    createPerson: (name, age) => makePerson(name, age),
    createTemperature: degrees => makeTemperature(degrees),
    keep(name, person) {
      const verb = people.has(name) ? 'Updated' : 'Added';
      if (verb === 'Updated') people.set(name, person);
      else people.init(name, person);
      log(`${verb} ${name}`);
      return people.getSize();
    },
    find: name => people.get(name),
    classes() {
      const counter = makeCounter(3);
      log(`Counter: 3 + 5 = ${counter.increment(5)}`);
      log(`Counter: 8 - 2 = ${counter.decrement(2)}`);
      try {
        counter.increment('foo');
      } catch (error) {
        log(`Successfully caught type error: ${error.message}`);
      }
    },
    kits() {
      const { celsius, fahrenheit } = makeTemperature(20);
      log(`20°C = ${fahrenheit.getFahrenheit()}°F`);
      fahrenheit.setFahrenheit(32);
      log(`32°F = ${celsius.getCelsius()}°C`);
      try {
        celsius.getFahrenheit();
      } catch (error) {
        log(`Successfully caught cross-facet error: ${error.message}`);
      }
    },
    stores() {
      const person = makePerson('Charlie', 40);
      people.init('charlie', person);
      log(`Map store size: ${people.getSize()}`);
      log(`Map store keys: ${[...people.keys()].join(', ')}`);
      log(`Map has 'charlie': ${people.has('charlie')}`);
      known.add(person);
      log(`Set store size: ${known.getSize()}`);
      log(`Set has Charlie: ${known.has(person)}`);
    },
  });
};
