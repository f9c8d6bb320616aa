package directory

import (
	"archive/zip"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// longestLine bounds a line of a file, in bytes. Published ones have about 400.
const longestLine = 64 << 10

// A source is one register file to read: a file, or an entry of a zip archive.
type source struct {
	name    string // for messages
	size    int64
	layout  layout
	lines   *bufio.Reader // after the header
	closers []io.Closer
}

// openSources opens the files, looks into archives, and reads the headers, so
// that a wrong file is refused before anything else happens.
func openSources(files []string) (_ []*source, err error) {
	var all []*source
	defer func() {
		if err != nil {
			closeSources(all)
		}
	}()
	for _, path := range files {
		found, err := openSource(path)
		all = append(all, found...)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", path, err)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no file to import was named")
	}
	return all, nil
}

func closeSources(sources []*source) {
	for _, s := range sources {
		for _, c := range s.closers {
			c.Close()
		}
	}
}

func openSource(path string) ([]*source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	magic := make([]byte, 4)
	if n, _ := f.ReadAt(magic, 0); n == 4 && string(magic) == "PK\x03\x04" {
		return openArchive(f, info.Size())
	}
	s := &source{name: filepath.Base(path), size: info.Size(), closers: []io.Closer{f}}
	return []*source{s}, s.begin(f)
}

// openArchive finds the register's files among those that are published with them.
func openArchive(f *os.File, size int64) ([]*source, error) {
	keep := &source{closers: []io.Closer{f}} // closes the archive with the others
	archive, err := zip.NewReader(f, size)
	if err != nil {
		return []*source{keep}, err
	}
	var all []*source
	for _, entry := range archive.File {
		if entry.FileInfo().IsDir() {
			continue
		}
		in, err := entry.Open()
		if err != nil {
			return append(all, keep), fmt.Errorf("%s: %w", entry.Name, err)
		}
		s := &source{name: filepath.Base(entry.Name), size: int64(entry.UncompressedSize64), closers: []io.Closer{in}}
		switch err := s.begin(in); {
		case errors.Is(err, ErrUnknownFormat):
			in.Close()
		case err != nil:
			return append(all, s, keep), fmt.Errorf("%s: %w", entry.Name, err)
		default:
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return []*source{keep}, ErrUnknownFormat
	}
	all[len(all)-1].closers = append(all[len(all)-1].closers, f)
	return all, nil
}

// begin reads the header.
func (s *source) begin(in io.Reader) error {
	s.lines = bufio.NewReaderSize(in, longestLine)
	header, err := s.lines.ReadSlice('\n')
	if err != nil && err != io.EOF {
		if errors.Is(err, bufio.ErrBufferFull) {
			return ErrUnknownFormat
		}
		return err
	}
	s.layout, err = readHeader(string(header))
	return err
}

// next returns the next line without its end and how many bytes it took, or
// io.EOF. A line that is too long is passed over with errTooLong.
func (s *source) next() (string, int, error) {
	text, err := s.lines.ReadSlice('\n')
	size := len(text)
	if err == bufio.ErrBufferFull {
		for err == bufio.ErrBufferFull {
			text, err = s.lines.ReadSlice('\n')
			size += len(text)
		}
		if err == nil || err == io.EOF {
			err = errTooLong
		}
		return "", size, err
	}
	if err != nil && (err != io.EOF || size == 0) {
		return "", size, err
	}
	return strings.TrimRight(string(text), "\r\n"), size, nil
}

// read puts what the lines of all files say about people into the sorter.
func (im *importer) read(ctx context.Context, sorted *sorter, sources []*source) error {
	p := Progress{Step: Reading}
	for _, s := range sources {
		p.Total += s.size
	}
	for _, s := range sources {
		p.File = s.name
		for number := 2; ; number++ { // the header is line 1
			text, size, err := s.next()
			if err == io.EOF {
				break
			}
			if err != nil && err != errTooLong {
				return fmt.Errorf("reading %s, line %d: %w", s.name, number, err)
			}
			if p.Done += int64(size); number%4096 == 0 {
				im.o.Progress(p)
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			if text == "" && err == nil {
				continue
			}
			p.Lines++
			if err := im.readLine(sorted, s, number, text, err); err != nil {
				return err
			}
		}
		im.o.Progress(p)
	}
	im.report.Lines = int(p.Lines)
	return nil
}

// readLine puts one line into the sorter. A malformed one leaves a mark there,
// when it can be told whose it was.
func (im *importer) readLine(sorted *sorter, s *source, number int, text string, err error) error {
	var l line
	if err == nil {
		l, err = s.layout.parse(text)
	}
	if err == nil {
		im.report.Unusable += l.unusable
		return sorted.add(string(l.id), l.pack(s.layout.format == PSC))
	}
	im.report.Malformed++
	if im.o.Bad != nil {
		if _, err := fmt.Fprintf(im.o.Bad, "%s:%d: %s\n", s.name, number, err); err != nil {
			return fmt.Errorf("writing down a malformed line: %w", err)
		}
	}
	if im.report.Malformed > im.o.MaxBad {
		return fmt.Errorf("%w: more than %d; the last is %s, line %d: %w", ErrTooManyBad, im.o.MaxBad, s.name, number, err)
	}
	if l.id == "" {
		return nil
	}
	return sorted.add(string(l.id), []byte{recordBroken})
}
