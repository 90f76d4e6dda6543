/* Start-up of any Cortex-M: vectors, FPU and Helium, .data and .bss, then main. And the stack's high-water mark. It must not touch a peripheral of one board (uart_*.c do).
 */
#include "board.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define STACK_PATTERN 0x5AC35AC3u

extern uint32_t link_data_load[], link_data[], link_data_end[], link_bss[], link_bss_end[];
extern uint32_t link_stack_limit[];
extern void link_stack_top(void); /* an address; a function's type, as the vectors have it */

int main(void);
void board_reset(void);

static void hang(void) {
    for (;;) {
    }
}

/* clock.c, where a program has a clock. */
__attribute__((weak, alias("hang"))) void board_systick(void);

/* No interrupt of a peripheral is enabled, so the table ends with the core's own. */
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    link_stack_top, board_reset, hang, hang, hang, hang, hang, 0, 0, 0, 0, hang, hang, 0, hang, board_systick,
};

__attribute__((noreturn, used, optimize("Os"))) void board_reset(void) {
#ifdef __ARM_FP
    CPACR |= 0xFu << 20; /* before the first FPU or Helium instruction */
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    /* volatile: a compiler may turn these loops into memcpy and memset, which need not exist */
    volatile uint32_t *to = link_data;
    for (const uint32_t *from = link_data_load; to != link_data_end;) *to++ = *from++;
    for (to = link_bss; to != link_bss_end;) *to++ = 0;
    board_init();
    main();
    for (;;) {
    }
}

static uint32_t *stack_pointer(void) {
    uint32_t *sp;
    __asm volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

__attribute__((noinline)) void board_paint_stack(void) {
    for (volatile uint32_t *p = link_stack_limit; p < stack_pointer(); p++) *p = STACK_PATTERN;
}

__attribute__((noinline)) uint32_t board_stack_used(void) {
    const uint32_t *p = link_stack_limit;
    while (p < stack_pointer() && *p == STACK_PATTERN) p++;
    return (uint32_t)((uintptr_t)stack_pointer() - (uintptr_t)p);
}
