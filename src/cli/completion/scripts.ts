/** The shells that there is completion for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/**
 * What each shell reads. They ask the program itself, so that they need not change when commands do: `hostport complete -- WORD…` prints a
 * line for each candidate, with its description after a tab, and at last `:files`, `:directories` or `:nothing`.
 */
export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: String.raw`# bash completion for hostport: hostport completion bash > /etc/bash_completion.d/hostport
_hostport() {
	local line=${'$'}{COMP_LINE:0:COMP_POINT} words=() lines=() also current theirs
	# Bash splits words at "=" and ":", too; here they are as they were typed.
	read -a words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	current=${'$'}{words[${'$'}{#words[@]} - 1]}
	theirs=${'$'}{COMP_WORDS[COMP_CWORD]}
	[[ $theirs == [=:] ]] && theirs=""
	local prefix=${'$'}{current%"$theirs"}
	mapfile -t lines < <("${'$'}{words[0]/#\~/$HOME}" complete -- "${'$'}{words[@]:1}" 2>/dev/null)
	[[ ${'$'}{#lines[@]} -gt 0 ]] || return
	also=${'$'}{lines[${'$'}{#lines[@]} - 1]}
	unset "lines[${'$'}{#lines[@]} - 1]"
	lines=("${'$'}{lines[@]%%$'\t'*}")
	COMPREPLY=("${'$'}{lines[@]#"$prefix"}")
	case $also in
	:files) compopt -o default ;;
	:directories) compopt -o dirnames ;;
	esac
}
complete -F _hostport hostport
`,
  zsh: String.raw`#compdef hostport
# zsh completion for hostport: hostport completion zsh > "${'$'}{fpath[1]}/_hostport"
_hostport() {
	local -a lines described
	local line also
	lines=("${'$'}{(@f)$("${'$'}{(Q)words[1]/#\~/$HOME}" complete -- "${'$'}{(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	also=${'$'}{lines[-1]}
	lines[-1]=()
	for line in "${'$'}{lines[@]}"; do
		described+=("${'$'}{${'$'}{line%%$'\t'*}//:/\\:}:${'$'}{line#*$'\t'}")
	done
	((${'$'}{#described})) && _describe hostport described
	case $also in
	:files) _files ;;
	:directories) _files -/ ;;
	esac
}
if [[ $funcstack[1] == _hostport ]]; then
	_hostport "$@"
else
	compdef _hostport hostport
fi
`,
  fish: String.raw`# fish completion for hostport: hostport completion fish > ~/.config/fish/completions/hostport.fish
function __hostport_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	set -l program (string replace -r '^~' $HOME -- $words[1])
	set -l lines ($program complete -- $words[2..-1] "$current" 2>/dev/null)
	test (count $lines) -gt 0; or return
	set -l also $lines[-1]
	set -e lines[-1]
	test (count $lines) -gt 0; and printf '%s\n' $lines
	switch $also
		case :files
			__fish_complete_path "$current"
		case :directories
			__fish_complete_directories "$current"
	end
end
complete -c hostport -f -a '(__hostport_complete)'
`,
};
