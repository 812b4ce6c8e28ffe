package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) completionCmd() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print what lets your shell complete commands and names",
		Long: `Print a script that lets your shell complete commands, flags, and the names of apps, process
types, releases, domains, keys and more, which it asks the platform for.`,
		Example: `  source <(slipway completion bash)
  slipway completion zsh > "${fpath[1]}/_slipway"
  slipway completion fish > ~/.config/fish/completions/slipway.fish`,
		Args:      takes(1, 1, "a shell: bash, zsh, fish or powershell"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(c.stdout, true)
			case "zsh":
				return root.GenZshCompletion(c.stdout)
			case "fish":
				return root.GenFishCompletion(c.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(c.stdout)
			}
			return usage(cmd, "there is no completion for %s", fmt.Sprintf("%q", args[0]))
		},
	}
}
