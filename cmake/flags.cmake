# How everything of ours is compiled. Warnings are errors only where asked for
# (BRIG_WERROR, as CI does): a newer compiler must not break a user's build.
include(CheckCCompilerFlag)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

option(BRIG_WERROR "Treat warnings as errors" OFF)
option(BRIG_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

function(brig_flag flag)
  string(MAKE_C_IDENTIFIER "HAVE${flag}" have)
  check_c_compiler_flag(${flag} ${have})
  if(${have})
    add_compile_options($<$<COMPILE_LANGUAGE:C>:${flag}>)
  endif()
endfunction()

foreach(flag
    -Wall -Wextra -Wformat=2 -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough
    -Wlogical-op -Wduplicated-cond -Wbidi-chars=any -Werror=format-security -Werror=implicit
    -Werror=incompatible-pointer-types -Werror=int-conversion -Werror=return-type)
  brig_flag(${flag})
endforeach()
if(BRIG_WERROR)
  add_compile_options(-Werror)
endif()

add_compile_definitions(_GNU_SOURCE)
if(BRIG_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(BRIG_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
else()
  # The compiler options hardening guide of the OpenSSF; FORTIFY needs the
  # optimiser, and does not mix with the sanitizers.
  if(NOT CMAKE_BUILD_TYPE STREQUAL Debug)
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
      -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing
      -ftrivial-auto-var-init=zero)
    brig_flag(${flag})
  endforeach()
  add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
endif()
