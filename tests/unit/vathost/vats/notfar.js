export const buildRootObject = () => harden({});
