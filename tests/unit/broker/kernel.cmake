foreach(story message illegal end restart window client random quarantine cost gc audit audit_memory names ring)
  vatyard_unit_test(broker_kernel_${story}_test kernel_${story}_test.c test_support)
endforeach()
