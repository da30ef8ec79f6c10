# bash completion for echo-bench                             -*- shell-script -*-
# SPDX-License-Identifier: MIT

_echo_bench()
{
    # shellcheck disable=SC2034 # _init_completion sets them all
    local cur prev words cword split
    _init_completion -s || return

    case $prev in
    --pid | -p)
        _pids
        return
        ;;
    --hgrm)
        _filedir
        return
        ;;
    --connections | -c | --depth | -d | --size | -s | --duration | -t | --messages | -n | \
        --warmup | -w | --rate | -r | --idle | --request | --reply-bytes | --rest | --timeout)
        return
        ;;
    esac
    $split && return
    if [[ $cur != -* ]]; then
        _known_hosts_real -- "$cur"
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W '--tcp --udp --connections= --depth= --size= --duration=
        --messages= --warmup= --rate= --idle= --churn --verify --request= --reply-bytes= --pid=
        --tree --rest= --timeout= --json --hgrm= --help --version' -- "$cur")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
} && complete -F _echo_bench echo-bench
