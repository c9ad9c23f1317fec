throw Error('thrown from the module itself');
export const buildRootObject = () => {};
