/* In the place of msvcrt.lib, which is Visual Studio's: what a DLL starts with, and what its stack check calls. */
#include <stdint.h>

int _fltused = 1;
uintptr_t __security_cookie = 0x2b992ddfa232u;

void __security_check_cookie(uintptr_t cookie) {
    if (cookie != __security_cookie) __builtin_trap();
}

int __stdcall _DllMainCRTStartup(void *module, unsigned reason, void *reserved) {
    (void)module, (void)reason, (void)reserved;
    return 1;
}
