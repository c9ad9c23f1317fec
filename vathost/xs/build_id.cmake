# cmake -DMAKERS=FILES -DFLAVOUR=TEXT -DOUT=HEADER -P build_id.cmake
set(all "${FLAVOUR}")
foreach(file ${MAKERS})
  file(SHA256 ${file} hash)
  string(APPEND all " ${hash}")
endforeach()
string(SHA256 id "${all}")
string(SUBSTRING ${id} 0 32 id)
file(WRITE ${OUT} "/* Made by build_id.cmake: hash of the golden snapshots' makers. */\n#pragma once\n#define XS_BUILD \"${id}\"\n")
