// Command vigie lets health professionals sign in to digital health services
// with their phone or their card, and makes it impossible for a stranger's
// browser to make that phone ring.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is the table of contents of the program.
type commands struct {
	Serve        ServeCmd        `cmd:"" help:"Run Vigie."`
	Demo         DemoCmd         `cmd:"" help:"Run everything on this machine with fictitious people: portal, phone app, two services, a mailbox."`
	Directory    DirectoryCmd    `cmd:"" help:"Import the register of professionals, or make a fictitious one."`
	Service      ServiceCmd      `cmd:"" help:"Register the digital services that rely on this Vigie."`
	Professional ProfessionalCmd `cmd:"" help:"The support line's acts for one professional. Each is recorded."`
	Keys         KeysCmd         `cmd:"" help:"Make and rotate the keys that are not in the database."`
	Phone        PhoneCmd        `cmd:"" help:"A phone in the terminal."`
	Config       ConfigCmd       `cmd:"" help:"Print the configuration that is in force."`
}

// env is what a command may use of the world around the program.
type env struct {
	out, err io.Writer
	log      *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], env{out: os.Stdout, err: os.Stderr, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}))
}

// exit carries an exit status through an error.
type exit struct {
	status int
	err    error
}

func (e exit) Error() string { return e.err.Error() }
func (e exit) Unwrap() error { return e.err }

// run carries out one command line and returns the exit status: 0, 1 when the
// deed failed, 2 when the command line was wrong.
func run(ctx context.Context, args []string, e env) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("vigie"), kong.Description("Sign in with the phone that no stranger can make ring."),
		kong.Writers(e.out, e.err), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(e))
	if err != nil {
		fmt.Fprintln(e.err, "vigie:", err)
		return 2
	}
	line, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(e.err, "vigie:", err)
		return 2
	}
	if err := line.Run(); err != nil {
		fmt.Fprintln(e.err, "vigie:", err)
		var ex exit
		if errors.As(err, &ex) {
			return ex.status
		}
		return 1
	}
	return 0
}
