for (;;);
export const buildRootObject = () => {};
