# A guest from its text form, as a C array: NAME_module, in NAME_wasm.h.
execute_process(COMMAND wat2wasm ${INPUT} -o ${OUTPUT}.wasm COMMAND_ERROR_IS_FATAL ANY)
file(READ ${OUTPUT}.wasm hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
file(WRITE ${OUTPUT} "static const unsigned char ${NAME}_module[] = {${bytes}};\n")
