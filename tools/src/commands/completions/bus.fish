# Completion of bus for fish: what `bus completions fish` prints.
function __bus_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    for line in (eval (string escape -- $words[1]) complete-words -- (string escape -- $words[2..-1] "$current") 2>/dev/null)
        set -l fields (string split \t -- $line)
        switch $fields[1]
            case files
                # The file after the equals sign of an option, too.
                set -l file (string replace --regex '^--[^=]*=' '' -- "$current")
                set -l before (string replace --regex '^(--[^=]*=)?.*$' '$1' -- "$current")
                for found in (__fish_complete_path "$file")
                    printf '%s%s\n' "$before" $found
                end
            case command
                set -l rest $words[(math $fields[2] + 2)..-1] "$current"
                complete --do-complete (string join ' ' -- $rest)
            case '*'
                printf '%s\t%s\n' $fields[2] $fields[3]
        end
    end
end
complete --command bus --no-files --keep-order --arguments '(__bus_complete)'
