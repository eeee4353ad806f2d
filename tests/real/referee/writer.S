# The firmware of a guest: it writes one sector of its first IDE disk after another, at each tick of
# the clock, with the number of the write in it. No memory, no driver and no BIOS is needed.
    .code16
    .globl start

    .set BUFFER, 0x1000
    .set SECTORS, 64
    .set DIVISOR, 11932             # of 1.193182 MHz: 100 ticks a second

start:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7000, %sp
    movw $tick, 4 * 0x20            # the interrupt that the clock has below
    movw $0xf000, 4 * 0x20 + 2

    movl $0x1b, %ecx                # no local APIC: it would pass on no interrupt as it is now
    rdmsr
    andl $~0x800, %eax
    wrmsr
    movb $0x11, %al                 # the first interrupt controller: from 0x20 on, the clock alone
    outb %al, $0x20
    movb $0x20, %al
    outb %al, $0x21
    movb $0x04, %al
    outb %al, $0x21
    movb $0x01, %al
    outb %al, $0x21
    movb $0xfe, %al
    outb %al, $0x21
    movb $0x34, %al                 # the clock: again and again
    outb %al, $0x43
    movb $(DIVISOR & 0xff), %al
    outb %al, $0x40
    movb $(DIVISOR >> 8), %al
    outb %al, $0x40

    xorl %ebx, %ebx                 # the number of the write
write:
    sti
    hlt
    cli
    movw $0x1f7, %dx
busy:
    inb %dx, %al
    testb $0x80, %al
    jnz busy
    movb $0xe0, %al                 # the first disk, by sector numbers
    movw $0x1f6, %dx
    outb %al, %dx
    movb $1, %al
    movw $0x1f2, %dx
    outb %al, %dx
    movb %bl, %al
    andb $(SECTORS - 1), %al
    incw %dx
    outb %al, %dx
    xorb %al, %al
    incw %dx
    outb %al, %dx
    incw %dx
    outb %al, %dx
    movb $0x30, %al                 # WRITE SECTORS
    movw $0x1f7, %dx
    outb %al, %dx
asked:
    inb %dx, %al
    testb $0x01, %al                # refused: the next time
    jnz write
    testb $0x08, %al
    jz asked
    movl %ebx, BUFFER
    movw $BUFFER, %si
    movw $256, %cx
    movw $0x1f0, %dx
    rep outsw
    incl %ebx
    jmp write

tick:
    pushw %ax
    movb $0x20, %al
    outb %al, $0x20
    popw %ax
    iretw

    .org 0xfff0                     # where a processor begins
    ljmp $0xf000, $start
    .org 0x10000
