// Prints what golang.org/x/mod says, one answer a line for each question a line.
// Fields are separated by tabs and quoted as Go literals.
//
//	gomod DATA                                  ParseLax | Parse | ModulePath | language version
//	files GOMOD KIND SIZE PATH [KIND SIZE PATH]...   checkFiles, with GOMOD as the contents of each go.mod
//	zip FILE PATH VERSION                       CheckZip | HashZip
//	runes                                       what Go thinks of all characters
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<28)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		fields := strings.Split(in.Text(), "\t")
		for i := range fields[1:] {
			text, err := strconv.Unquote(fields[i+1])
			if err != nil {
				panic(in.Text())
			}
			fields[i+1] = text
		}
		fmt.Fprintln(out, answer(fields[0], fields[1:]))
	}
}

func answer(op string, args []string) string {
	switch op {
	case "gomod":
		data := []byte(args[0])
		lax, laxErr := modfile.ParseLax("go.mod", data, nil)
		strict, strictErr := modfile.Parse("go.mod", data, nil)
		lang := ""
		if laxErr == nil && lax.Go != nil {
			lang = version.Lang("go" + lax.Go.Version)
		}
		return strings.Join([]string{file(lax, laxErr), file(strict, strictErr), quote(modfile.ModulePath(data)), quote(lang)}, "\t")
	case "files":
		return files(args[0], args[1:])
	case "zip":
		return zipFile(args[0], args[1], args[2])
	case "runes":
		return runes()
	}
	panic(op)
}

// quote replaces each byte that is not UTF-8 before quoting.
func quote(s string) string { return strconv.Quote(string([]rune(s))) }

func file(f *modfile.File, err error) string {
	var list modfile.ErrorList
	if errors.As(err, &list) {
		return "error " + quote(list[0].Error())
	} else if err != nil {
		return "error " + quote(err.Error())
	}
	b := new(strings.Builder)
	b.WriteString("ok")
	say := func(format string, args ...any) { fmt.Fprintf(b, " "+format, args...) }
	if f.Module != nil {
		say("module=%s", quote(f.Module.Mod.Path))
		if f.Module.Deprecated != "" {
			say("deprecated=%s", quote(f.Module.Deprecated))
		}
	}
	if f.Go != nil {
		say("go=%s", quote(f.Go.Version))
	}
	if f.Toolchain != nil {
		say("toolchain=%s", quote(f.Toolchain.Name))
	}
	for _, r := range f.Require {
		say("require=%s,%s,%t,%d", quote(r.Mod.Path), quote(r.Mod.Version), r.Indirect, r.Syntax.Start.Line)
	}
	for _, e := range f.Exclude {
		say("exclude=%s,%s,%d", quote(e.Mod.Path), quote(e.Mod.Version), e.Syntax.Start.Line)
	}
	for _, r := range f.Replace {
		say("replace=%s,%s,%s,%s,%d", quote(r.Old.Path), quote(r.Old.Version), quote(r.New.Path), quote(r.New.Version), r.Syntax.Start.Line)
	}
	for _, r := range f.Retract {
		say("retract=%s,%s,%s,%d", quote(r.Low), quote(r.High), quote(r.Rationale), r.Syntax.Start.Line)
	}
	for _, t := range f.Tool {
		say("tool=%s", quote(t.Path))
	}
	for _, i := range f.Ignore {
		say("ignore=%s", quote(i.Path))
	}
	for _, g := range f.Godebug {
		say("godebug=%s,%s", quote(g.Key), quote(g.Value))
	}
	return b.String()
}

type fakeFile struct {
	name, gomod string
	mode        os.FileMode
	size        int64
}

func (f fakeFile) Path() string                { return f.name }
func (f fakeFile) Lstat() (os.FileInfo, error) { return f, nil }
func (f fakeFile) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(f.gomod))), nil
}
func (f fakeFile) Name() string       { return path.Base(f.name) }
func (f fakeFile) Size() int64        { return f.size }
func (f fakeFile) Mode() os.FileMode  { return f.mode }
func (f fakeFile) ModTime() time.Time { return time.Time{} }
func (f fakeFile) IsDir() bool        { return f.mode.IsDir() }
func (f fakeFile) Sys() any           { return nil }

func files(gomod string, args []string) string {
	modes := map[string]os.FileMode{"regular": 0o644, "symlink": os.ModeSymlink, "other": os.ModeNamedPipe}
	var list []zip.File
	for ; len(args) > 0; args = args[3:] {
		size, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			panic(err)
		}
		list = append(list, fakeFile{args[2], gomod, modes[args[0]], size})
	}
	cf, err := zip.CheckFiles(list)
	b := new(strings.Builder)
	for _, p := range cf.Valid {
		fmt.Fprintf(b, "valid %s; ", quote(p))
	}
	for _, e := range cf.Omitted {
		fmt.Fprintf(b, "omitted %s; ", quote(e.Error()))
	}
	for _, e := range cf.Invalid {
		fmt.Fprintf(b, "invalid %s; ", quote(e.Error()))
	}
	if err != nil {
		fmt.Fprintf(b, "error %s", quote(err.Error()))
	}
	return b.String()
}

func zipFile(name, path, vers string) string {
	if _, err := zip.CheckZip(module.Version{Path: path, Version: vers}, name); err != nil {
		return "error " + quote(err.Error())
	}
	h1, err := dirhash.HashZip(name, dirhash.Hash1)
	if err != nil {
		return "error " + quote(err.Error())
	}
	return "ok " + h1
}

// runes prints ranges of printable characters, ranges of letters and the smallest equivalent of each character that has one.
func runes() string {
	b := new(strings.Builder)
	ranges := func(name string, is func(rune) bool) {
		fmt.Fprintf(b, "%s", name)
		for r := rune(0); r <= unicode.MaxRune; r++ {
			if is(r) && (r == 0 || !is(r-1)) {
				fmt.Fprintf(b, " %x", r)
			}
			if is(r) && (r == unicode.MaxRune || !is(r+1)) {
				fmt.Fprintf(b, "-%x", r)
			}
		}
		b.WriteString("\t")
	}
	ranges("print", unicode.IsPrint)
	ranges("letter", unicode.IsLetter)
	ranges("space", unicode.IsSpace)
	b.WriteString("fold")
	for r := rune(0); r <= unicode.MaxRune; r++ {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		if least != r {
			fmt.Fprintf(b, " %x=%x", r, least)
		}
	}
	return b.String()
}
