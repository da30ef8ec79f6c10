#compdef epoll-echo echo-bench
# SPDX-License-Identifier: MIT
# Offers what --help tells.

local help line action letter name text kind
local -a match mbegin mend options

help=$(_call_program options $words[1] --help 2>/dev/null)
for line in ${(f)help}; do
    [[ $line =~ '^ +(-(.), )?--([a-z-]+)(=([^ ]+))? +(.*)$' ]] || continue
    letter=$match[2] name=$match[3] kind=$match[5]
    text=${${${match[6]//\\/\\\\}//\[/\\[}//\]/\\]}
    case $kind in
    '') action= ;;
    *:*) action=":$name: " ;;
    *\|*) action=":$name:(${kind//\|/ })" ;;
    PATH | FILE) action=":file:_files" ;;
    PID) action=":process:_pids" ;;
    *) action=":$kind: " ;;
    esac
    options+=("*--$name${kind:+=}[$text]$action")
    [[ -n $letter ]] && options+=("*-$letter${kind:++}[$text]$action")
done
[[ $help == *' HOST:PORT'* ]] && options+=(':server (HOST\:PORT):_hosts')
_arguments -s $options
