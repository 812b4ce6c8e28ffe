package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

const portsLong = `Lead TCP connections to a process type: a port of the platform's edge, which is this app's alone, to a port that the app
knows. The process finds in PORT_<port>, such as PORT_9000, where it has to listen.

Connections go to the instance with the fewest. A deploy drops none of them before the old instance's time to finish is over.`

func (c *cli) portsCmd() *cobra.Command {
	cmd := group("ports", "Lead TCP connections to process types", c.portsListCmd, c.portAddCmd(), c.portRemoveCmd())
	cmd.Long = portsLong
	cmd.Example = "  slipway ports\n  slipway ports add worker 9000\n  slipway ports remove 30001"
	return c.ofApp(cmd)
}

func (c *cli) portsListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show which ports lead where", Long: portsLong, Example: "  slipway ports list\n  slipway ports --json",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			ports, err := s.Ports(ctx, app)
			if err != nil {
				return err
			}
			return page[api.Port]{
				items: ports, none: "No port of the edge leads to " + app + ". Have one with: slipway ports add worker 9000",
				heads: []string{"PORT", "TYPE", "OF THE APP", "PROXY PROTOCOL"},
				row: func(v api.Port) []string {
					return []string{strconv.Itoa(v.Listen), v.ProcfileType, strconv.Itoa(v.Port), proxyText(v.Proxy)}
				},
			}.show(c)
		}),
	}
}

func proxyText(version int) string {
	if version == 0 {
		return ""
	}
	return "v" + strconv.Itoa(version)
}

// portNumber reads a port.
func portNumber(verb, text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, &usageError{"slipway ports " + verb, fmt.Sprintf("%q is no port: write a number from 1 to 65535", text)}
	}
	return port, nil
}

func (c *cli) portAddCmd() *cobra.Command {
	var wish api.AddPort
	cmd := &cobra.Command{
		Use: "add TYPE PORT", Short: "Lead a port of the edge to a port of a process type", Long: portsLong,
		Example: "  slipway ports add worker 9000\n  slipway ports add redis 6379 --listen 30001\n  slipway ports add smtp 2525 --proxy 2",
		Args:    takes(2, 2, "a TYPE and a PORT"), ValidArgsFunction: c.completeTypes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) (err error) {
			wish.ProcfileType = args[0]
			if wish.Port, err = portNumber("add", args[1]); err != nil {
				return err
			}
			var port api.Port
			err = c.during("Leading a port to "+args[0], func() (_ string, err error) {
				port, err = s.AddPort(ctx, app, wish)
				return "", err
			})
			if err != nil {
				return err
			}
			return c.answer(port, func() {
				c.stdout.say("Port %d of the edge leads to port %d of %s.", port.Listen, port.Port, port.ProcfileType)
			})
		}),
	}
	cmd.Flags().IntVar(&wish.Listen, "listen", 0, "the `port` of the edge; unless told, the lowest that is free")
	cmd.Flags().IntVar(&wish.Proxy, "proxy", 0, "begin each connection with the PROXY protocol of this `version`, 1 or 2")
	return cmd
}

func (c *cli) portRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove PORT", Aliases: []string{"rm"}, Short: "Take a port of the edge from the app",
		Long:    "Take a port of the edge from the app. It takes no connections from then on; those that are open end with their instance.",
		Example: "  slipway ports remove 30001", Args: takes(1, 1, "one PORT of the edge"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			ports, err := s.Ports(ctx, app)
			return names(ports, func(v api.Port) string { return strconv.Itoa(v.Listen) }), err
		}),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			listen, err := portNumber("remove", args[0])
			if err != nil {
				return err
			}
			if err := s.RemovePort(ctx, app, listen); err != nil {
				return err
			}
			return c.answer(map[string]int{"listen": listen}, func() { c.stdout.say("Port %d leads to %s no longer.", listen, app) })
		}),
	}
}
