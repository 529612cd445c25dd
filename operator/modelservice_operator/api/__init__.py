"""The API group modelservice.dev: types, names and the contract with the runtime. Pure data, no I/O."""
