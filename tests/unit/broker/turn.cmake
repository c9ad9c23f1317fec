# fake_kernel.c defines all of kernel.h, so nothing is taken from the real one.
add_library(fake_kernel OBJECT fake_kernel.c)
target_link_libraries(fake_kernel PUBLIC wire_codec)
vatyard_unit_test(broker_meter_test meter_test.c broker_shell)
add_library(turn_rig OBJECT turn_rig.c)
target_compile_options(turn_rig PRIVATE ${VATYARD_WARNINGS})
target_link_libraries(turn_rig PUBLIC broker_shell PkgConfig::CRITERION)
foreach(test turn turn_session turn_answer)
  vatyard_unit_test(broker_${test}_test ${test}_test.c $<TARGET_OBJECTS:turn_rig> $<TARGET_OBJECTS:fake_kernel>
    broker_shell)
endforeach()
vatyard_unit_test(broker_outside_test outside_test.c $<TARGET_OBJECTS:fake_kernel> broker_shell)
vatyard_unit_test(broker_trace_test trace_test.c broker_shell)
vatyard_unit_test(broker_shipping_test shipping_test.c $<TARGET_OBJECTS:fake_kernel> broker_shell)
