# Tests of vathost/xs, and the small vats they run. A vat NAME.js becomes NAME.json; the formats that
# only bundle-source makes are built for the vats that test them. bundle-source wants a package around
# a source: the vats are copied into the one that the engine is made from.
set(xs_bundles ${CMAKE_CURRENT_BINARY_DIR}/bundles)
set(xs_package ${VATYARD_NPM}/test-vats)
file(MAKE_DIRECTORY ${xs_bundles} ${xs_package})
set(xs_bundle_files)
function(xs_test_bundle name format out)
  add_custom_command(OUTPUT ${xs_bundles}/${out}
    COMMAND ${VATYARD_NODE} ${VATYARD_SHARE}/bundler/bundle.mjs
      ${xs_package}/${name}.js -o ${xs_bundles}/${out} --format ${format}
    DEPENDS ${xs_package}/${name}.js ${VATYARD_SHARE}/bundler/bundle.mjs VERBATIM)
  set(xs_bundle_files ${xs_bundle_files} ${xs_bundles}/${out} PARENT_SCOPE)
endfunction()

file(GLOB xs_vats CONFIGURE_DEPENDS vats/*.js)
foreach(vat ${xs_vats})
  get_filename_component(name ${vat} NAME_WE)
  configure_file(${vat} ${xs_package}/${name}.js COPYONLY)
  xs_test_bundle(${name} endoScript ${name}.json)
endforeach()
foreach(format iife endoZipBase64 nestedEvaluate getExport endo-endoScript)
  xs_test_bundle(durable ${format} durable.${format}.json)
  xs_test_bundle(asks ${format} asks.${format}.json)
endforeach()
add_custom_target(xs_test_bundles DEPENDS ${xs_bundle_files})

file(GLOB xs_tests CONFIGURE_DEPENDS xs_*_test.c)
foreach(file ${xs_tests})
  get_filename_component(name ${file} NAME_WE)
  vatyard_unit_test(${name} ${file} host_xs wire_schema wire_base)
  target_sources(${name} PRIVATE xs_vat.c)
  target_compile_definitions(${name} PRIVATE XS_TEST_BUNDLES="${xs_bundles}"
    XS_TEST_SHARE="${VATYARD_SHARE}" XS_TEST_NPM="${VATYARD_NPM}"
    XS_TEST_JS="${CMAKE_SOURCE_DIR}/vathost/xs/js")
  add_dependencies(${name} xs_test_bundles xs_snapshots)
endforeach()
