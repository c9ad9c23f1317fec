vatyard_unit_test(supervisor_test supervisor_test.c vat_support)
vatyard_unit_test(clist_test clist_test.c vat_support)
vatyard_unit_test(vatdb_test vatdb_test.c vat_support host_store)
