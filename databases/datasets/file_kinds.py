"""Which files can be pictures, and what to say of those that cannot: none vanishes without a word, no class at all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import PurePosixPath

from databases.datasets.names import is_hidden, part_of, shown, some
from databases.errors import UserError, count

# Formats that Pillow hands on to other programs (Ghostscript writes temporary files) or cannot read.
FOREIGN_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}
HEIC = {".heic", ".heif", ".hif"}
UNREAD_PICTURES = HEIC | set(  # endings of pictures that cannot be read
    ".dcm .dicom .raw .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .svg .jxl .nii .nrrd .mha .exr .czi .svs .eps".split()
)
DOCUMENTS = set(
    ".txt .md .rst .csv .tsv .json .jsonl .xml .html .htm .pdf .doc .docx .odt .rtf .tex .bib .xls .xlsx .ods .yaml "
    ".yml .toml .ini .cfg .py .ipynb .m .r .sh .bat .js .css .c .h .cpp .log .db .sqlite .lock .url .lnk .names .cache "
    ".cff .sum .md5 .sha1 .sha256".split()
)
PACKED = set(  # endings of what may hold pictures, which are not looked for in it
    ".zip .tar .tgz .gz .bz2 .xz .7z .rar .npy .npz .mat .pkl .pickle .pt .pth .h5 .hdf5 .tfrecord .parquet".split()
)
ARCHIVES = set(".zip .tar .tgz .gz .bz2 .xz .7z .rar".split())
FURTHER = set(  # endings of what else lies about
    ".mp4 .avi .mov .mkv .mpg .mpeg .webm .wmv .wav .mp3 .ogg .flac .exe .dll .so .bak .tmp .part .swp .ckpt .onnx "
    ".safetensors .bin .dat .php .go .rs .java .ts".split()
)
PLAIN_NAMES = set("readme license licence copying authors makefile changelog notice version dockerfile".split())
TABLE = "labels.csv"  # may tell the classes; see `label_table`
MOST_UNREAD = 10  # of so many pictures one may be unreadable


@cache
def readable_formats() -> tuple[tuple[str, ...], frozenset[str]]:
    """Formats to try, and the endings of their files; HEIC where pillow-heif is installed."""
    from PIL import Image

    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
    endings = Image.registered_extensions()  # this also loads every format
    formats = tuple(name for name in Image.ID if name not in FOREIGN_FORMATS)
    return formats, frozenset(ending for ending, name in endings.items() if name not in FOREIGN_FORMATS)


def ending_of(name: str) -> str:
    """The ending of a file's name in lower case, with its dot."""
    last = name.rpartition("/")[2]
    stem, dot, ending = last.rpartition(".")
    return f".{ending.lower()}" if stem.strip(".") and dot and ending else ""


def hidden(name: str) -> bool:
    """Whether a file is none of the user's, or lies in such a folder."""
    return any(map(is_hidden, name.split("/")))


def refuse_lost_classes(
    homes: Collection[str], others: Iterable[str], lost: Iterable[tuple[str, str]], passed: Iterable[str], *, given: str
) -> list[str]:
    """Refuses a folder beside the class folders (``homes``) of which nothing can be read.

    ``others`` are files that are no pictures, ``lost`` entries that lead to no file, each with the reason, ``passed``
    pictures that were left out. Gives back notes on folders of documents and of hidden files.
    """
    above = {home.rpartition("/")[0] for home in homes}
    ways = {way for folder in above for way in (*_ways(folder), folder)}
    roots = {way.rpartition("/")[0] for way in ways if part_of(way.rpartition("/")[2]) is not None}
    files, links = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    papers, veiled = set[str](), set[str]()
    for name in others:
        for folder in _beside(name, above, homes, (ways, roots)):
            if hidden(name):
                veiled |= set() if hidden(folder) or part_of(folder.rpartition("/")[2]) is not None else {folder}
            elif _is_document(name):
                papers.add(folder)
            else:
                files[folder].append(name)
    for name, reason in lost:
        place, _, last = name.rpartition("/")
        like_a_folder = part_of(last) is not None or (place in above and not _is_known(name))
        for folder in [name] if like_a_folder else _beside(name, above, homes, (ways, roots)):
            links[folder].append(f"{name} ({reason})")
    mended = [(*each, "mend the links") for each in links.items()]
    for folder, names, advice in (*mended, *((*each, remedy(each[1])) for each in files.items())):
        what = "class folder" if part_of(folder.rpartition("/")[2]) is None else "part"
        raise UserError(
            f"given {given} with the {what} {shown(folder)!r}, in which no picture can be read: "
            f"{some(names)}; allowed are folders with pictures; "
            f"{advice}, or to go on without this {what.split()[0]} take it away or let its name begin with a dot"
        )
    holding = {way for folder in {name.rpartition("/")[0] for name in passed} for way in _ways(f"{folder}/")}
    papers, veiled = papers - holding, veiled - holding
    notes = [f"no class is made of {some(papers)}, where only documents lie"] if papers else []
    if veiled := veiled - papers:
        notes.append(f"no class is made of {some(veiled)}, where only hidden files lie")
    return notes


def unread_notes(
    pictures: int,
    others: Sequence[str],
    loose: Sequence[str],
    lost: Sequence[tuple[str, str]],
    *,
    given: str,
) -> list[str]:
    """One line for each kind of file that is not used, beside so many ``pictures``.

    Raises:
        UserError: more than a tenth of the pictures have an ending that cannot be read.
    """
    endings = Counter(ending_of(name) for name in others if not hidden(name))
    unread = [name for name in others if not hidden(name) and ending_of(name) in UNREAD_PICTURES]
    if len(unread) * MOST_UNREAD > pictures + len(unread):
        raise UserError(
            f"given {given} with {count(len(unread), 'picture')} that cannot be read ({some(unread)}) beside "
            f"{pictures:,} that can; allowed is a tenth of them; {remedy(unread)}, or take them away"
        )
    notes = []
    if loose:
        notes.append(f"left out {count(len(loose), 'picture')} in no class folder: {some(loose)}")
    if others:
        notes.append(f"ignored {told_of(others)} (hidden, or no pictures): {some(others)}")
    named = {ending: times for ending, times in endings.most_common() if ending not in DOCUMENTS}
    if named:
        told = ", ".join(f"{times:,} {ending or 'without ending'}" for ending, times in [*named.items()][:4])
        notes.append(f"among the ignored files are some that may be data: {told}")
    if lost:
        reasons = Counter(reason for _, reason in lost)
        told = ", ".join(f"{times:,} {reason}" for reason, times in reasons.most_common())
        notes.append(f"left out what leads to no file ({told}): {some(name for name, _ in lost)}")
    return notes


def _beside(name: str, above: set[str], homes: Collection[str], led: tuple[set[str], set[str]]) -> list[str]:
    """The folder above a file that stands beside class folders without being one, or as a part beside the parts.

    ``led`` are the folders that lead to class folders, and those in which the parts lie.
    """
    (leading, roots), ways = led, _ways(name)[1:]
    if any(way in homes for way in ways):
        return []
    strange = [(way, *way.rpartition("/")[::2]) for way in ways if way not in leading]
    missed = [way for way, place, _ in strange if place in above]
    parts = [way for way, place, last in strange if place in roots and part_of(last) is not None]
    return (missed or parts)[:1]


def _ways(name: str) -> list[str]:
    """All folders that lead to a name, from that of the data on, which has none."""
    pieces = name.split("/")
    return ["/".join(pieces[:length]) for length in range(len(pieces))]


def _is_document(name: str) -> bool:
    return ending_of(name) in DOCUMENTS or PurePosixPath(name).stem.lower() in PLAIN_NAMES


def _is_known(name: str) -> bool:
    """Whether a name is that of a file, so that no folder can have been meant."""
    endings = readable_formats()[1] | UNREAD_PICTURES | PACKED | FURTHER
    return _is_document(name) or ending_of(name) in endings


def told_of(names: Sequence[str]) -> str:
    """How many files and hidden folders, which end with a slash, are meant."""
    folders = sum(name.endswith("/") for name in names)
    each = [(len(names) - folders, "file"), (folders, "hidden folder")]
    return " and ".join(count(number, what) for number, what in each if number)


def unpacking(names: Sequence[str]) -> str:
    """What to do about files that may hold all pictures, or arrays of them."""
    endings = {ending_of(name) for name in names}
    if len(names) == 1 and endings <= {".zip", ".npz"}:
        return f"give {some(names)} itself"
    if endings <= ARCHIVES:
        return f"unpack {some(names)} and give the folder"
    if endings <= {".npy"}:
        return "save images and labels as x and y in one .npz file (numpy.savez)"
    return f"write the pictures in {some(names)} into class folders, or images and labels as x and y into an .npz file"


def instead_of(name: str) -> str:
    """What to do about a file that is given as the data and is none."""
    ending = ending_of(name)
    if ending in PACKED:
        return unpacking([name])
    if ending in (".csv", ".tsv"):
        return f"give the folder of the pictures with the table in it as {TABLE}, with the columns file and class"
    if ending in readable_formats()[1] | UNREAD_PICTURES:
        return "give the folder above the folders of the classes"
    return "turn it into one of them"


def remedy(names: Sequence[str]) -> str:
    """What to do about files that cannot be read."""
    if any(ending_of(name) in HEIC for name in names):
        return "convert them to JPEG, or install what reads them: pip install 'metad2a[heic]'"
    if any(ending_of(name) in PACKED for name in names):
        return "give pictures in place of what they are packed in (PNG or JPEG)"
    if names and not any(map(ending_of, names)):
        return "let their names end as what they are (.png, .jpg), or convert them to PNG or JPEG"
    return "convert them to PNG or JPEG"
