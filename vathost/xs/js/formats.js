/* How a bundle becomes the namespace of a vat. Every reader takes (bundle, globals, Compartment) and
 * gives the namespace, or a promise for it. The readers here need nothing but a compartment;
 * endoZipBase64 is in zip.js. */

/* global harden */

const makeCompartment = (Compartment, globals) =>
  new Compartment({ name: 'vat', globals, __options__: true });

/* SwingSet's formats find a frozen global object, as SwingSet's importBundle makes it. */
const makeFrozen = (Compartment, globals) => {
  const compartment = makeCompartment(Compartment, globals);
  harden(compartment.globalThis);
  return compartment;
};

const text = (bundle, key) => {
  const source = bundle[key];
  if (typeof source !== 'string') throw SyntaxError(`the bundle has no string ${key}`);
  return source;
};

export const readers = {
  /* One expression whose value is the namespace. */
  endoScript: (bundle, globals, Compartment) =>
    makeFrozen(Compartment, globals).evaluate(text(bundle, 'source')),

  /* A function that gives the namespace. */
  getExport: (bundle, globals, Compartment) => {
    const compartment = makeFrozen(Compartment, globals);
    return compartment.evaluate(`(${text(bundle, 'source')}\n)`)('vat');
  },

  /* The same, but it evaluates each of its modules by itself. */
  nestedEvaluate: (bundle, globals, Compartment) => {
    const nestedEvaluate = source => compartment.evaluate(source);
    const compartment = makeFrozen(Compartment, { ...globals, nestedEvaluate });
    return compartment.evaluate(`(${text(bundle, 'source')}\n)`)('vat');
  },

  /* ocap-kernel: a script that declares __vatExports__ and may reach for its global object. */
  iife: (bundle, globals, Compartment) => {
    const compartment = makeCompartment(Compartment, globals);
    const { globalThis: vatGlobal } = compartment;
    for (const name of ['globalThis', 'global']) {
      Object.defineProperty(vatGlobal, name, { value: vatGlobal, writable: true, configurable: true });
    }
    return compartment.evaluate(`${text(bundle, 'code')}\n;__vatExports__`);
  },
};

/* In the order in which an error names them. */
export const knownFormats = ['endoZipBase64', 'nestedEvaluate', 'getExport', 'endoScript', 'iife'];
