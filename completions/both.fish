# SPDX-License-Identifier: MIT
# Offers what --help tells, for the program that this file is installed for.

set -l program (status basename | string replace -r '\.fish$' '')
# As it was typed, if it was: it may be none of those in PATH.
set -l command (string match -r "^(?:.*/)?$program\$" -- (commandline -opc) | string replace -r '^~' $HOME) $program

set -l help
type -q $command[1]; and set help ($command[1] --help 2>/dev/null)

complete -c $program -f
string match -q '* HOST:PORT*' -- $help; and complete -c $program -a '(__fish_print_hostnames)'
for line in $help
    string match -rq '^ +(?:-(?<letter>.), )?--(?<name>[a-z-]+)(?:=(?<kind>\S+))? +(?<text>.*)$' -- $line
    or continue
    set -l option -c $program -l $name -d $text
    test -n "$letter"; and set -a option -s $letter
    switch "$kind"
        case ''
        case '*:*'
            set -a option -x
        case '*|*'
            set -a option -x -a (string replace -a '|' ' ' -- $kind)
        case PATH FILE
            set -a option -r -F
        case PID
            set -a option -x -a '(__fish_complete_pids)'
        case '*'
            set -a option -x
    end
    complete $option
end
