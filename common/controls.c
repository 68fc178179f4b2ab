#include "common/controls.h"

bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

void blank_controls(char *text)
{
    for (; *text != '\0'; text++)
        if (is_control(*text))
            *text = ' ';
}
