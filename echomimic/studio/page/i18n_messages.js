// What the server says most often, in Chinese: a pattern of the English line, and what stands for it.
// @ts-check

/** @type {[RegExp, string][]} */
export const MESSAGES_ZH = [
  [/^(\d+) of (\d+) frames were rendered$/, "重新渲染了 $1/$2 帧"],
  [/^no face was found in .*$/, "人像中没有找到人脸；请使用一张正面清晰的照片"],
  [/^the face(?: in .*)? is too small: (\d+) pixels wide, at least (\d+) are needed.*$/, "人脸太小：宽 $1 像素，至少需要 $2 像素；请使用更大的图片"],
  [/^the file is not a picture this program reads.*$/, "无法读取该图片；请另存为 PNG 或 JPEG"],
  [/^the file is not audio this program reads.*$/, "无法读取该音频；请先转换格式"],
  [/^the file is not .* this program reads.*$/, "无法读取该文件；请先转换格式"],
  [/^the file cannot be read \((.*)\).*$/, "文件已损坏，无法读取（$1）"],
  [/^the file is empty.*$/, "文件是空的；请换一个"],
  [/^the file has no .* in it; give another$/, "文件中没有所需内容；请换一个"],
  [/^the file takes too much memory or time to decode.*$/, "解码该文件占用的内存或时间过多；请换一个更小的文件"],
  [/^(\w+) pictures are not taken.*$/, "不支持 $1 图片；请另存为 PNG、JPEG 或 WebP"],
  [/^the upload is larger than (\d+) MB.*$/, "文件超过 $1 MB；请换一个更小的，或用 --max-upload 提高上限"],
  [/^.* is silent.*$/, "语音是静音；请换一段录音，或勾选“允许静音”"],
  [/^the disk is full.*$/, "磁盘已满；请腾出空间，或运行 echomimic studio clean"],
  [/^The server does not answer.*$/, "服务器没有响应。echomimic studio 还在运行吗？"],
  [/^The upload broke off.*$/, "上传中断；请重试"],
  [/^the token is (?:missing or )?wrong.*$/, "令牌不对；请打开工作室启动时显示的地址"],
  [/^the studio is being ended.*$/, "工作室正在关闭；请在它运行时重试"],
  [/^the process that rendered was killed.*$/, "渲染进程被终止，可能是内存不足；请选择更小的尺寸，或重试"],
  [/^the process that worked on it hung.*$/, "渲染进程没有响应，已被终止；请重试"],
  [/^(\S+) cannot render here: .*$/, "$1 无法在这里渲染：缺少模型文件（见队列页）"],
  [/^the take was edited in another window.*$/, "该成片已在另一个窗口中编辑；现显示那里的编辑，请再试一次"],
  [/^(\d+) sessions run already.*$/, "已有 $1 个会话在运行；请稍后再试"],
  [/^the text holds nothing to say.*$/, "文字中没有可朗读的内容；请写一个句子"],
  [/^takes use it; delete them first$/, "有成片正在使用它；请先删除那些成片"],
];
