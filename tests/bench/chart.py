"""The chart, as a script for gnuplot: a bar for each row, which shows how much of
what is allowed is used. Left of the line is good; the scale is logarithmic."""

from row import number

GREEN, RED = "#2e8b57", "#c0392b"
ROW_PIXELS, LEFT_OF_ALL = 46, 0.01


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def figures(result):
    unit = result.row.unit
    ours = f"{number(result.our_median)} {unit}"
    if result.rival is None:
        return f"{ours}, must be {result.row.required()}"
    rival = f"{number(result.rival_median)} {unit}"
    return f"{ours} beside {rival}: {result.ratio_text()}, must be {result.row.required()}"


def bar(tag, y, result):
    """A rectangle, its spread, and what it says."""
    colour = GREEN if result.met else RED
    right = max(result.used, LEFT_OF_ALL * 1.1)
    low, high = (
        max(result.row.used(value, result.rival_median), LEFT_OF_ALL)
        for value in result.spreads[result.ours]["quartiles"]
    )
    what = quoted(result.row.what)
    beside = quoted(f"beside {result.rival}" if result.rival else "")
    return [
        f"set object {tag} rectangle from {LEFT_OF_ALL}, {y - 0.26} to {right}, {y + 0.26} "
        f'fc rgb "{colour}" fs solid noborder',
        f'set arrow from {low}, {y} to {high}, {y} heads size 0.04,90 lw 1 lc rgb "black" front',
        f"set label {what} at screen 0.02, first {y + 0.17} left noenhanced",
        f'set label {beside} at screen 0.02, first {y - 0.2} left noenhanced font ",10" '
        'tc rgb "#666666"',
        f"set label {quoted(figures(result))} at screen 0.685, first {y} left noenhanced "
        f'font ",11" tc rgb "{colour}"',
    ]


def script(results, about, path):
    count = len(results)
    most = max(4, *(result.used * 1.5 for result in results)) if results else 4
    lines = [
        f"set terminal svg size 1250,{110 + ROW_PIXELS * count} dynamic font 'sans,12' "
        "background rgb 'white'",
        f"set output {quoted(str(path))}",
        f"set title {quoted(title(results, about))} noenhanced",
        "set lmargin at screen 0.36",
        "set rmargin at screen 0.67",
        "set logscale x",
        f"set xrange [{LEFT_OF_ALL}:{most}]",
        f"set yrange [{-count + 0.4}:0.6]",
        "set xtics ('1 %%' 0.01, '10 %%' 0.1, 'limit' 1, '10 ×' 10, '100 ×' 100)",
        'set xlabel "used of what is allowed (median; whiskers: quartiles)"',
        "unset ytics",
        "unset key",
        "set border 1",
        f'set arrow from 1, {-count + 0.4} to 1, 0.6 nohead lw 2 lc rgb "black" front',
    ]
    for index, result in enumerate(results):
        lines += bar(index + 1, -index, result)
    lines.append("plot NaN")
    return "\n".join(lines) + "\n"


def title(results, about):
    met = sum(result.met for result in results)
    return (
        f"{met} of {len(results)} figures met: green ends before the line "
        f"({about['processors']} processors, {about['rounds']} rounds)"
    )
