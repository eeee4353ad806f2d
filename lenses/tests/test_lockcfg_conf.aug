(* Each form of a value, a statement and a comment, read and written back. *)

module Test_lockcfg_conf =

let lns = Lockcfg_conf.lns


(* Group: values *)

test lns get "key = 5\n" = { "key" = "5" }
test lns get "a = -5\nb = +5\nc = 007\n" = { "a" = "-5" } { "b" = "+5" } { "c" = "007" }
test lns get "key = \"text\"\n" = { "key" = "text" }
test lns get "key = 'text'\n" = { "key" = "'text'" }
test lns get "key = \"\"\"text\"\"\"\n" = { "key" = "\"\"\"text\"\"\"" }
test lns get "key = \"\"\"one\n# \"two\"\n\"\"\"\n" = { "key" = "\"\"\"one\n# \"two\"\n\"\"\"" }
test lns get "a = \"\"\nb = ''\nc = \"\"\"\"\"\"\n" =
  { "a" = "\"\"" }
  { "b" = "''" }
  { "c" = "\"\"\"\"\"\"" }

(* Strings that look like something else keep their quotes; those that only begin so do not. *)
test lns get "a = \"5\"\nb = \"-5\"\nc = \"'text'\"\n" =
  { "a" = "\"5\"" }
  { "b" = "\"-5\"" }
  { "c" = "\"'text'\"" }
test lns get "a = \"5x\"\nb = \"-\"\nc = \"+x\"\nd = \" \"\n" =
  { "a" = "5x" }
  { "b" = "-" }
  { "c" = "+x" }
  { "d" = " " }
test lns get "a = \"it's; # not [ a ] \\comment\"\nb = 'say \"x\"'\n" =
  { "a" = "it's; # not [ a ] \\comment" }
  { "b" = "'say \"x\"'" }

test lns get "key = [ \"a\", \"b\" ]\n" = { "key" { "1" = "a" } { "2" = "b" } }
test lns get "key = []\n" = { "key" }
test lns get "key=[\r\n  \"a\" ,\r\n\r\n'b',5\t, ]\n" =
  { "key" { "1" = "a" } { "2" = "'b'" } { "3" = "5" } }
test lns get "key = [ \"\", \"5\", -5, \"\"\"a\n]\"\"\" ]\n" =
  { "key" { "1" = "" } { "2" = "\"5\"" } { "3" = "-5" } { "4" = "\"\"\"a\n]\"\"\"" } }


(* Group: statements, comments and blanks *)

test lns get "a=1\n\tb = 2 \n c\t=\t3\t\n" = { "a" = "1" } { "b" = "2" } { "c" = "3" }
test lns get "a = 1; b = \"x\" ;c = 3\n" = { "a" = "1" } { "b" = "x" } { "c" = "3" }
test lns get "a = 1;\n" = { "a" = "1" } { "#empty" }
test lns get "a = 1\rb = 2\n" = { "a" = "1" } { "b" = "2" }
test lns get "a = 1\na = 2\n" = { "a" = "1" } { "a" = "2" }
test lns get "No_Such9 = 1\n" = { "No_Such9" = "1" }

test lns get "key = 5   # why\n" = { "key" = "5" { "#comment" = "why" } }
test lns get "key = \"x\"#why \n" = { "key" = "x" { "#comment" = "why " } }
test lns get "key = 'x'#\n" = { "key" = "'x'" { "#comment" } }
test lns get "key = [ 1 ] # why\n" = { "key" { "1" = "1" } { "#comment" = "why" } }
test lns get "# key = 5\n  #why\n#\n" =
  { "#comment" = "key = 5" }
  { "#comment" = "why" }
  { "#comment" }
test lns get "\n \t\nkey = 5\n\n" = { "#empty" } { "#empty" } { "key" = "5" } { "#empty" }

(* The line feed of a carriage return and a line feed begins a line of its own. *)
test lns get "# why\r\nkey = 5 # why\r\n" =
  { "#comment" = "why" }
  { "#empty" }
  { "key" = "5" { "#comment" = "why" } }
  { "#empty" }


(* Group: what libvirt refuses, and a list inside a list *)

test lns get " \n" = *
test lns get "\n\n" = *
test lns get "key\n" = *
test lns get "key =\n" = *
test lns get "key =\n5\n" = *
test lns get "= 5\n" = *
test lns get "9key = 5\n" = *
test lns get "key-x = 5\n" = *
test lns get "key = yes\n" = *
test lns get "key = 5 6\n" = *
test lns get "key = 5x\n" = *
test lns get "key = -\n" = *
test lns get "key = \"x\n" = *
test lns get "key = \"x\ny\"\n" = *
test lns get "key = 'x\n" = *
test lns get "key = \"\"\"x\"\n" = *
test lns get "key = \"\"\"x\"\"\"\"\n" = *
test lns get "key = \"x\" \"y\"\n" = *
test lns get "key = 5;;\n" = *
test lns get "; key = 5\n" = *
test lns get "key = [ 1\n" = *
test lns get "key = [ 1, , 2 ]\n" = *
test lns get "key = [ , ]\n" = *
test lns get "key = [ 1 2 ]\n" = *
test lns get "key = [ 1, # one\n 2 ]\n" = *
test lns get "key = [ [ 1 ] ]\n" = *


(* Group: setting a value changes its bytes and no others *)

test lns put "\n  a=1;\tb = 2\n" after set "/a" "-3" = "\n  a=-3;\tb = 2\n"
test lns put "\tb\t=\t\"x\" ;#\n" after set "/b" "y z" = "\tb\t=\t\"y z\" ;#\n"
test lns put "  c='x'  # why\r\n" after set "/c" "'y'" = "  c='y'  # why\r\n"
test lns put "d=\"\"\"x\"\"\";\n" after set "/d" "\"\"\"y\nz\"\"\"" = "d=\"\"\"y\nz\"\"\";\n"
test lns put "a=\"5\"\n" after set "/a" "\"6\"" = "a=\"6\"\n"
test lns put "a = 1\na =2\n" after set "/a[1]" "3" = "a = 3\na =2\n"
test lns put "a=1 #why\n" after set "/a/#comment" "because" = "a=1 #because\n"
test lns put "#why\na=1\n" after set "/#comment" "because" = "#because\na=1\n"

test lns put "e=[\r\n\t\"x\" ,\n\t'y',1\n,]# why\n" after set "/e/1" "z" =
  "e=[\r\n\t\"z\" ,\n\t'y',1\n,]# why\n"
test lns put "e=[\r\n\t\"x\" ,\n\t'y',1\n,]# why\n" after set "/e/3" "2" =
  "e=[\r\n\t\"x\" ,\n\t'y',2\n,]# why\n"

(* A value of another spelling: its statement is written anew, the comment stays. *)
test lns put "\ta='x'\t# why\nb=1\n" after set "/a" "y" = "a = \"y\"\t# why\nb=1\n"
test lns put "a = \"unlimited\"\n" after set "/a" "5" = "a = 5\n"


(* Group: a new setting, with quotes where it is a string *)

test lns put "" after set "/a" "text" = "a = \"text\"\n"
test lns put "\n" after set "/a" "text" = "a = \"text\"\n"
test lns put "b=1\n" after set "/a" "text" = "b=1\na = \"text\"\n"
test lns put "" after set "/a" "5" = "a = 5\n"
test lns put "" after set "/a" "-5" = "a = -5\n"
test lns put "" after set "/a" "\"5\"" = "a = \"5\"\n"
test lns put "" after set "/a" "\"\"" = "a = \"\"\n"
test lns put "" after set "/a" "'x'" = "a = 'x'\n"
test lns put "" after set "/a" "\"\"\"x\ny\"\"\"" = "a = \"\"\"x\ny\"\"\"\n"
test lns put "" after set "/a" "5x" = "a = \"5x\"\n"
test lns put "# c\nb=1\n" after insb "a" "/b"; set "/a" "1" = "# c\na = 1\nb=1\n"
test lns put "a = 1\n" after set "/a/#comment" "why" = "a = 1 # why\n"
test lns put "a = 1\n" after set "/#comment" "why" = "a = 1\n# why\n"

test lns put "" after clear "/a" = "a = [ ]\n"
test lns put "" after set "/a/1" "x" = "a = [ \"x\" ]\n"
test lns put "" after set "/a/1" "x"; set "/a/2" "5"; set "/a/3" "\"5\"" =
  "a = [ \"x\", 5, \"5\" ]\n"
test lns put "a=[\n 1,\n]\n" after set "/a/2" "x" = "a=[\n 1, \"x\",\n]\n"
test lns put "a = []\n" after set "/a/1" "x" = "a = [\"x\" ]\n"

(* What no string can hold, and a name that is none. *)
test lns put "" after set "/a" "x\ny" = *
test lns put "" after set "/a" "x\"y" = *
test lns put "" after set "/a-b" "x" = *
test lns put "b=1\n" after set "/b" "x\ny" = *
test lns put "b=1\n" after set "/b/1" "x" = *
test lns put "b=1\n" after set "/b/#comment" "x\ny" = *
test lns put "a=[ 1 ]\n" after set "/a/1" "x\"y" = *
test lns put "a=[ 1 ]\n" after set "/a" "x" = *


(* Group: removing *)

test lns put "a=1\n#b\nb=2 # why\nc=3\n" after rm "/b" = "a=1\n#b\nc=3\n"
test lns put "a=1;b=2;\tc=3\n" after rm "/b" = "a=1;\tc=3\n"
test lns put "a=1\na=2\na=3\n" after rm "/a[2]" = "a=1\na=3\n"
test lns put "a=1 # why\n" after rm "/a/#comment" = "a=1\n"
test lns put "a=1\n" after rm "/a" = ""
test lns put "a=[\n 1,\n 2,\n]\n" after rm "/a/1" = "a=[\n 2,\n]\n"
test lns put "a=[\n 1,\n 2,\n]\n" after rm "/a/*" = "a=[\n ]\n"

(* Nothing but blanks would be left, which is an error to libvirt. *)
test lns put "a=1\n\n" after rm "/a" = *
