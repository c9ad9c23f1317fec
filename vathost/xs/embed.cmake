# cmake -DIN=FILE -DNAME=NAME -DOUT=HEADER -P embed.cmake: the bytes of a file as an array in C
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "/* Made by embed.cmake. */\n#pragma once\n#include <stdint.h>\nstatic const uint8_t ${NAME}[] = {\n${bytes}};\n")
